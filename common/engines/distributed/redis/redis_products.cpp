// Products: their stock, split over buckets that may lie on different nodes.
#include <algorithm>

#include "common/engines/distributed/redis/redis_state_store.hpp"
#include "common/ports/key_slot.hpp"

namespace flux::redis {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLock = 10s;

ProductStock add_up(const std::string& product_id, std::int32_t count,
                    const std::vector<StockBucket>& stock) {
  ProductStock sum{.product_id = product_id, .buckets = count};
  for (const StockBucket& bucket : stock) {
    sum.available += bucket.available;
    sum.reserved += bucket.reserved;
    sum.confirmed += bucket.confirmed;
  }
  sum.stock = sum.available + sum.reserved + sum.confirmed;
  return sum;
}

StockBucket read_bucket(const Reply& reply) {
  if (reply.items.size() < 3) return {};
  return {reply.items[0].to_integer(), reply.items[1].to_integer(), reply.items[2].to_integer()};
}

}  // namespace

std::string RedisStateStore::bucket_key(const std::string& product_id, std::int32_t bucket,
                                        const char* what) const {
  return prefix_ + "{p:" + product_id + ":b" + std::to_string(bucket) + "}:" + what;
}

std::vector<std::string> RedisStateStore::bucket_keys(const std::string& product_id,
                                                      std::int32_t bucket) const {
  return {bucket_key(product_id, bucket, "stock"), bucket_key(product_id, bucket, "reserved"),
          bucket_key(product_id, bucket, "ages"), bucket_key(product_id, bucket, "spilled")};
}

// `not_found` when it was never put. Several buckets are read one after the
// other; each adds up, so the total does.
Async<Result<RedisStateStore::Snapshot>> RedisStateStore::read_product(std::string product_id) {
  const auto question = [&](std::int32_t bucket) {
    const std::string key = bucket_key(product_id, bucket, "stock");
    return plain(key, {"HMGET", key, "available", "reserved", "confirmed", "buckets", "ever"});
  };
  auto first = co_await client_->run(question(0));
  if (!first) co_return first.error();
  if (first->items.size() != 5) co_return unexpected_reply("HMGET");
  if (first->items[0].kind == Reply::Kind::nil) co_return unknown_product(product_id);
  Snapshot snapshot{static_cast<std::int32_t>(first->items[3].to_integer()), {read_bucket(*first)}};
  std::vector<Call> others;
  for (std::int32_t bucket = 1; bucket < first->items[4].to_integer(); ++bucket)
    others.push_back(question(bucket));
  if (others.empty()) co_return snapshot;
  const auto answers = co_await client_->run_all(std::move(others));
  for (const auto& answer : answers) {
    if (!answer) co_return answer.error();
    snapshot.stock.push_back(read_bucket(*answer));
  }
  co_return snapshot;
}

Async<Result<ProductStock>> RedisStateStore::get_product(std::string product_id) {
  auto snapshot = co_await read_product(product_id);
  if (!snapshot) co_return snapshot.error();
  co_return add_up(product_id, snapshot->buckets, snapshot->stock);
}

// Before the product's first bucket is written, so that no reservation is ever
// unknown to stale_reservations.
Async<Result<std::int32_t>> RedisStateStore::register_product(std::string product_id, std::int32_t buckets) {
  Call call = scripted(ScriptName::register_product, {products_key()}, {product_id, std::to_string(buckets)});
  auto ever = co_await client_->run(std::move(call));
  if (!ever) co_return ever.error();
  co_return static_cast<std::int32_t>(ever->to_integer());
}

Async<Result<ProductStock>> RedisStateStore::put_product(std::string product_id, std::int64_t stock,
                                                         std::int32_t buckets) {
  if (auto valid = check_product(product_id, stock, buckets); !valid) co_return valid.error();
  const auto ever = co_await register_product(product_id, buckets);
  if (!ever) co_return ever.error();
  if (*ever == 1) {
    Call call =
        scripted(ScriptName::put_single, {bucket_key(product_id, 0, "stock")}, {std::to_string(stock)});
    const auto put = co_await client_->run(std::move(call));
    if (!put) co_return put.error();
    if (put->items.empty()) co_return unexpected_reply("put_single.lua");
    if (put->items[0].text == "put" && put->items.size() == 4) {
      learn_buckets(product_id, 1);
      const StockBucket now{put->items[1].to_integer(), put->items[2].to_integer(),
                            put->items[3].to_integer()};
      const std::vector<StockBucket> whole{now};
      co_return add_up(product_id, 1, whole);
    }
    if (put->items[0].text == "refused") {
      auto snapshot = co_await read_product(product_id);
      if (!snapshot) co_return snapshot.error();
      auto refused = spread_stock(product_id, snapshot->stock, stock, 1);
      if (!refused) co_return refused.error();
      co_return Error{Errc::invalid_argument, "product " + product_id + ": stock is below what is used"};
    }
  }
  auto lock = co_await lock_product(product_id);
  if (!lock) co_return lock.error();
  auto put = co_await put_buckets(product_id, stock, buckets);
  auto released = co_await release_lease(*lock);
  (void)released;  // it ends by itself
  co_return put;
}

// Changes of one product come one after the other; reservations go on meanwhile.
Async<Result<Lease>> RedisStateStore::lock_product(std::string product_id) {
  const auto deadline = std::chrono::steady_clock::now() + timeout_;
  // Each change is an owner of its own, also within this process.
  const std::string owner = new_uuid().to_string();
  // A name of the engine's own: callers may hold leases named after the product themselves.
  const std::string name = "engine.buckets:" + product_id;
  for (;;) {
    auto lease = co_await acquire_lease(name, owner, kLock);
    if (!lease) co_return lease.error();
    if (*lease) co_return **lease;
    if (std::chrono::steady_clock::now() >= deadline) break;
    co_await client_->pause(10ms);
  }
  co_return Error{Errc::unavailable, "product " + product_id + " is being changed by somebody else",
                  "repeat the call", true};
}

// Pieces are first taken where there are too many and then given where they are
// missing, so that at no moment there are more than before or after. A crash in
// between leaves too few, and putting the product again mends that.
Async<Result<ProductStock>> RedisStateStore::put_buckets(std::string product_id, std::int64_t stock,
                                                         std::int32_t buckets) {
  const auto deadline = std::chrono::steady_clock::now() + kLock / 2;
  std::int64_t in_hand = 0;
  for (;;) {
    auto read = co_await read_product(product_id);
    if (!read && read.error().code != Errc::not_found) co_return read.error();
    const bool is_new = !read;
    Snapshot now = is_new ? Snapshot{buckets, {}} : std::move(*read);
    const ProductStock sum = add_up(product_id, buckets, now.stock);
    if (!is_new && in_hand == 0 && sum.stock == stock && now.buckets == buckets) {
      learn_buckets(product_id, buckets);
      co_return sum;
    }
    const auto target = spread_stock(product_id, now.stock, stock, buckets);
    now.stock.resize(std::max(now.stock.size(), static_cast<std::size_t>(buckets)));
    const std::string ever = std::to_string(now.stock.size());
    const auto change = [&](std::size_t bucket, std::int64_t by, std::int32_t count) {
      return scripted(ScriptName::change_bucket,
                      {bucket_key(product_id, static_cast<std::int32_t>(bucket), "stock")},
                      {std::to_string(by), std::to_string(count), ever});
    };
    if (!target) {
      if (in_hand > 0) {
        Call back = change(0, in_hand, now.buckets);
        auto given = co_await client_->run(std::move(back));
        if (!given) co_return given.error();
      }
      co_return target.error();
    }
    std::vector<Call> takes;
    std::vector<std::size_t> taken_from;
    for (std::size_t i = 0; i < now.stock.size(); ++i) {
      const std::int64_t surplus = now.stock[i].available - (*target)[i];
      if (surplus <= 0) continue;
      takes.push_back(change(i, -surplus, now.buckets));
      taken_from.push_back(i);
    }
    const auto taken = co_await client_->run_all(std::move(takes));
    std::int64_t present = sum.stock;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (!taken[i]) co_return taken[i].error();
      const std::int64_t change_made = taken[i]->to_integer();
      now.stock[taken_from[i]].available += change_made;
      present += change_made;
      in_hand -= change_made;
    }
    std::int64_t to_give = stock - present;
    if (to_give < 0) {  // reserved in the meantime: look again
      if (std::chrono::steady_clock::now() >= deadline) {
        Call back = change(0, in_hand, now.buckets);
        auto given = co_await client_->run(std::move(back));
        if (!given) co_return given.error();
        co_return Error{Errc::unavailable, "the stock of product " + product_id + " moves too fast",
                        "repeat the call", true};
      }
      continue;
    }
    std::vector<std::int64_t> gifts(now.stock.size(), 0);
    for (std::size_t i = 0; i < gifts.size(); ++i) {
      gifts[i] = std::clamp<std::int64_t>((*target)[i] - now.stock[i].available, 0, to_give);
      to_give -= gifts[i];
    }
    gifts[0] += to_give;
    // From the last to the first: when the first bucket tells of the new number,
    // all others are there.
    for (std::size_t i = gifts.size(); i-- > 0;) {
      Call call = change(i, gifts[i], buckets);
      auto given = co_await client_->run(std::move(call));
      if (!given) co_return given.error();
    }
    learn_buckets(product_id, buckets);
    co_return co_await get_product(product_id);
  }
}

Async<Result<>> RedisStateStore::restore_product(std::string product_id, std::int64_t stock,
                                                 std::int64_t confirmed, std::int32_t buckets) {
  if (auto valid = check_product(product_id, stock, buckets); !valid) co_return valid.error();
  std::vector<StockBucket> figures(static_cast<std::size_t>(buckets));
  figures[0].confirmed = confirmed;
  const auto available = spread_stock(product_id, figures, stock, buckets);
  if (!available) co_return available.error();
  for (std::size_t i = 0; i < figures.size(); ++i) figures[i].available = (*available)[i];
  const auto ever = co_await register_product(product_id, buckets);
  if (!ever) co_return ever.error();
  auto lock = co_await lock_product(product_id);
  if (!lock) co_return lock.error();
  figures.resize(static_cast<std::size_t>(*ever));
  std::vector<Call> calls;
  for (std::size_t i = figures.size(); i-- > 0;) {
    calls.push_back(scripted(ScriptName::restore_bucket,
                             bucket_keys(product_id, static_cast<std::int32_t>(i)),
                             {std::to_string(figures[i].available), std::to_string(figures[i].confirmed),
                              std::to_string(buckets), std::to_string(*ever)}));
  }
  const auto done = co_await client_->run_all(std::move(calls));
  auto released = co_await release_lease(*lock);
  (void)released;  // it ends by itself
  for (const auto& one : done)
    if (!one) co_return one.error();
  learn_buckets(product_id, buckets);
  co_return Result<>{};
}

// A cluster loses its data node by node: there is a mark for every 256 slots.
std::vector<std::string> RedisStateStore::restored_keys() const {
  std::vector<std::string> keys;
  if (!client_->is_cluster()) {
    keys.push_back(prefix_ + "flux:restored");
    return keys;
  }
  std::vector<bool> is_marked(64);
  for (int i = 0; keys.size() < is_marked.size(); ++i) {
    std::string key = prefix_ + "flux:restored:{" + std::to_string(i) + "}";
    const std::size_t part = key_slot(key) / 256;
    if (is_marked[part]) continue;
    is_marked[part] = true;
    keys.push_back(std::move(key));
  }
  return keys;
}

Async<Result<bool>> RedisStateStore::is_restored() {
  std::vector<Call> calls;
  for (const std::string& key : restored_keys()) calls.push_back(plain(key, {"EXISTS", key}));
  const auto replies = co_await client_->run_all(std::move(calls));
  bool all = true;
  for (const auto& reply : replies) {
    if (!reply) co_return reply.error();
    all = all && reply->integer == 1;
  }
  co_return all;
}

Async<Result<>> RedisStateStore::mark_restored() {
  std::vector<Call> calls;
  for (const std::string& key : restored_keys()) calls.push_back(plain(key, {"SET", key, "1"}));
  const auto replies = co_await client_->run_all(std::move(calls));
  for (const auto& reply : replies)
    if (!reply) co_return reply.error();
  co_return Result<>{};
}

}  // namespace flux::redis
