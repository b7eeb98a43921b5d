// Reserving, settling and finding stale reservations.
#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

#include "common/engines/distributed/redis/redis_state_store.hpp"
#include "common/ports/rate_bucket.hpp"

namespace flux::redis {
namespace {

constexpr std::size_t kSettleAtOnce = 500;    // orders of one script call
constexpr std::size_t kScanAtOnce = 500;      // products of one turn
constexpr std::size_t kStaleAtOnce = 10'000;  // of one bucket

Result<Reservation> read_reservation(const ReserveRequest& request, std::int32_t bucket, const Reply& reply) {
  if (reply.items.size() != 4) return unexpected_reply("reserve.lua");
  return Reservation{request.order_id,
                     request.product_id,
                     bucket,
                     static_cast<std::int32_t>(reply.items[1].to_integer()),
                     reply.items[2].to_integer(),
                     from_unix_us(reply.items[3].to_integer())};
}

bool says(const Reply& reply, std::string_view what) {
  return !reply.items.empty() && reply.items[0].text == what;
}

}  // namespace

std::int32_t RedisStateStore::known_buckets(const std::string& product_id) const {
  const auto known = buckets_.find(product_id);
  return known == buckets_.end() ? 1 : known->second;
}

void RedisStateStore::learn_buckets(const std::string& product_id, std::int32_t buckets) {
  if (buckets == 1) {
    buckets_.erase(product_id);
  } else {
    buckets_[product_id] = buckets;
  }
}

Async<Result<Reply>> RedisStateStore::reserve_in(const ReserveRequest& request, std::int32_t bucket,
                                                 std::int32_t buckets, bool is_home) {
  return client_->run(
      scripted(ScriptName::reserve, bucket_keys(request.product_id, bucket),
               {to_bytes(request.order_id), std::to_string(request.quantity),
                std::to_string(unix_us(request.now)), std::to_string(buckets), is_home ? "home" : "guest"}));
}

Async<Result<Reply>> RedisStateStore::spill(const ReserveRequest& request, std::int32_t home,
                                            std::string seen, std::string bucket) {
  return client_->run(scripted(ScriptName::spill, {bucket_key(request.product_id, home, "spilled")},
                               {to_bytes(request.order_id), std::move(seen), std::move(bucket)}));
}

Async<Result<Reservation>> RedisStateStore::reserve(ReserveRequest request) {
  if (auto valid = check_quantity(request.product_id, request.quantity); !valid) co_return valid.error();
  for (int attempt = 0; attempt < 8; ++attempt) {
    const std::int32_t buckets = known_buckets(request.product_id);
    const std::int32_t home = home_bucket(request.order_id, buckets);
    auto reply = co_await reserve_in(request, home, buckets, true);
    if (!reply) co_return reply.error();
    if (says(*reply, "reserved")) co_return read_reservation(request, home, *reply);
    if (says(*reply, "buckets")) {
      learn_buckets(request.product_id, static_cast<std::int32_t>(reply->items[1].to_integer()));
      continue;
    }
    if (says(*reply, "unknown")) {
      if (buckets == 1) co_return unknown_product(request.product_id);
      learn_buckets(request.product_id, 1);  // begin again at the first bucket, which every product has
      continue;
    }
    if (buckets == 1) co_return sold_out(request.product_id, request.quantity);
    std::string seen = says(*reply, "spilled") ? reply->items[1].text : std::string{};
    bool buckets_changed = false;
    auto elsewhere = co_await reserve_elsewhere(request, buckets, std::move(seen), buckets_changed);
    if (!buckets_changed) co_return elsewhere;
  }
  co_return Error{Errc::unavailable, "the buckets of product " + request.product_id + " change too fast",
                  "repeat the call", true};
}

// The home bucket says where the order went (`seen`), or another bucket is
// chosen and written down there before it is asked.
Async<Result<Reservation>> RedisStateStore::reserve_elsewhere(ReserveRequest request, std::int32_t buckets,
                                                              std::string seen, bool& buckets_changed) {
  const std::int32_t home = home_bucket(request.order_id, buckets);
  for (std::int32_t round = 0; round < buckets + 8; ++round) {
    if (!seen.empty()) {
      std::int32_t guest = 0;
      std::from_chars(seen.data(), seen.data() + seen.size(), guest);
      auto reply = co_await reserve_in(request, guest, buckets, false);
      if (!reply) co_return reply.error();
      if (says(*reply, "reserved")) co_return read_reservation(request, guest, *reply);
      if (!says(*reply, "sold_out")) {
        learn_buckets(request.product_id,
                      says(*reply, "buckets") ? static_cast<std::int32_t>(reply->items[1].to_integer()) : 1);
        buckets_changed = true;
        co_return sold_out(request.product_id, request.quantity);
      }
    }
    std::vector<Call> questions;
    for (std::int32_t i = 1; i < buckets; ++i) {
      const std::string key = bucket_key(request.product_id, (home + i) % buckets, "stock");
      questions.push_back(plain(key, {"HGET", key, "available"}));
    }
    const auto answers = co_await client_->run_all(std::move(questions));
    std::string next;
    for (std::int32_t i = 1; i < buckets && next.empty(); ++i) {
      const auto& answer = answers[static_cast<std::size_t>(i - 1)];
      if (!answer) co_return answer.error();
      if (answer->to_integer() >= request.quantity) next = std::to_string((home + i) % buckets);
    }
    if (next.empty() && seen.empty()) co_return sold_out(request.product_id, request.quantity);
    auto written = co_await spill(request, home, seen, next);
    if (!written) co_return written.error();
    if (written->text.empty() && next.empty()) co_return sold_out(request.product_id, request.quantity);
    seen = written->text;
  }
  co_return Error{Errc::unavailable, "the stock of product " + request.product_id + " moves too fast",
                  "repeat the call", true};
}

Async<Result<std::int64_t>> RedisStateStore::settle(std::vector<Settlement> settlements) {
  std::map<std::pair<std::string, std::int32_t>, std::vector<std::string>> by_bucket;
  std::map<std::pair<std::string, std::int32_t>, std::vector<std::string>> spilled;
  for (const Settlement& one : settlements) {
    auto& words = by_bucket[{one.product_id, one.bucket}];
    words.emplace_back(one.outcome == SettleOutcome::confirmed ? "confirmed" : "returned");
    words.push_back(to_bytes(one.order_id));
    const std::int32_t home = home_bucket(one.order_id, known_buckets(one.product_id));
    if (home != one.bucket) spilled[{one.product_id, home}].push_back(to_bytes(one.order_id));
  }
  std::vector<Call> calls;
  for (const auto& [bucket, words] : by_bucket) {
    auto keys = bucket_keys(bucket.first, bucket.second);
    keys.pop_back();  // `spilled` is of no concern here
    for (std::size_t from = 0; from < words.size(); from += 2 * kSettleAtOnce) {
      const auto to = std::min(words.size(), from + 2 * kSettleAtOnce);
      const std::vector<std::string> part{words.begin() + static_cast<std::ptrdiff_t>(from),
                                          words.begin() + static_cast<std::ptrdiff_t>(to)};
      calls.push_back(scripted(ScriptName::settle, keys, part));
    }
  }
  const std::size_t scripts = calls.size();
  for (const auto& [bucket, orders] : spilled) {
    const std::string key = bucket_key(bucket.first, bucket.second, "spilled");
    std::vector<std::string_view> words{"HDEL", key};
    words.insert(words.end(), orders.begin(), orders.end());
    calls.push_back(plain(key, words));
  }
  const auto replies = co_await client_->run_all(std::move(calls));
  std::int64_t changed = 0;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    if (!replies[i]) co_return replies[i].error();
    if (i < scripts) changed += replies[i]->to_integer();
  }
  co_return changed;
}

Async<Result<std::vector<Reservation>>> RedisStateStore::stale_reservations(WallTime before,
                                                                            std::size_t max) {
  std::vector<Reservation> stale;
  const std::string at_most = std::to_string(std::min(max, kStaleAtOnce));
  std::string cursor = "0";
  do {
    const std::string key = products_key();
    Call scan = plain(key, {"HSCAN", key, cursor, "COUNT", std::to_string(kScanAtOnce)});
    auto page = co_await client_->run(std::move(scan));
    if (!page) co_return page.error();
    if (page->items.size() != 2) co_return unexpected_reply("HSCAN");
    cursor = page->items[0].text;
    const std::vector<Reply>& products = page->items[1].items;
    std::vector<Call> questions;
    std::vector<std::pair<std::string, std::int32_t>> asked;
    for (std::size_t i = 0; i + 1 < products.size(); i += 2) {
      for (std::int32_t bucket = 0; bucket < products[i + 1].to_integer(); ++bucket) {
        auto keys = bucket_keys(products[i].text, bucket);
        keys.pop_back();
        questions.push_back(
            scripted(ScriptName::stale, std::move(keys), {std::to_string(unix_us(before)), at_most}));
        asked.emplace_back(products[i].text, bucket);
      }
    }
    const auto answers = co_await client_->run_all(std::move(questions));
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (!answers[i]) co_return answers[i].error();
      const std::vector<Reply>& items = answers[i]->items;
      if (items.empty()) co_return unexpected_reply("stale.lua");
      for (std::size_t j = 1; j + 1 < items.size(); j += 2) {
        auto order = from_bytes(items[j].text);
        if (!order) co_return order.error();
        const std::string& held = items[j + 1].text;  // "quantity reserved_at"
        const auto space = std::min(held.find(' '), held.size() - 1);
        std::int64_t quantity = 0, at = 0;
        std::from_chars(held.data(), held.data() + space, quantity);
        std::from_chars(held.data() + space + 1, held.data() + held.size(), at);
        stale.push_back({*order, asked[i].first, asked[i].second,
                         static_cast<std::int32_t>(items[0].to_integer()), quantity, from_unix_us(at)});
      }
    }
  } while (cursor != "0");
  // A scan may show a product twice.
  const auto age = [](const Reservation& r) { return std::tuple{r.reserved_at, r.order_id, r.product_id}; };
  std::ranges::sort(stale, {}, age);
  const auto doubled = std::ranges::unique(stale, {}, age);
  stale.erase(doubled.begin(), doubled.end());
  if (stale.size() > max) stale.resize(max);
  co_return stale;
}

}  // namespace flux::redis
