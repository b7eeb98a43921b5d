#include "tests/fakes/fake_state_store.hpp"

#include <algorithm>

#include "common/ports/rate_bucket.hpp"

namespace flux::testing {
namespace {

WallTime later(WallTime t, Duration d) {
  return t + std::chrono::duration_cast<WallTime::duration>(d);
}

// Engines keep microseconds.
WallTime rounded(WallTime t) {
  return WallTime{std::chrono::microseconds{unix_us(t)}};
}

ProductStock add_up(const std::string& product_id, const FakeStateData::Product& product) {
  ProductStock sum{.product_id = product_id, .buckets = product.buckets};
  for (const StockBucket& bucket : product.stock) {
    sum.available += bucket.available;
    sum.reserved += bucket.reserved;
    sum.confirmed += bucket.confirmed;
  }
  sum.stock = sum.available + sum.reserved + sum.confirmed;
  return sum;
}

Result<> spread(const std::string& product_id, FakeStateData::Product& product, std::int64_t stock,
                std::int32_t buckets) {
  auto available = spread_stock(product_id, product.stock, stock, buckets);
  if (!available) return available.error();
  product.buckets = buckets;
  product.stock.resize(available->size());
  for (std::size_t i = 0; i < product.stock.size(); ++i) product.stock[i].available = (*available)[i];
  return {};
}

}  // namespace

void FakeStateData::lose_everything() {
  const std::lock_guard guard{mutex};
  products.clear();
  keys.clear();
  rates.clear();
  cache.clear();
  leases.clear();
  is_restored = false;
}

FakeStateStore::FakeStateStore(std::shared_ptr<FakeStateData> data) : data_(std::move(data)) {}
FakeStateStore::~FakeStateStore() = default;

void FakeStateStore::fail_next(Error error, bool after_effect) {
  const std::lock_guard guard{failures_mutex_};
  failures_.push_back({std::move(error), after_effect});
}

void FakeStateStore::fail_all(Error error) {
  const std::lock_guard guard{failures_mutex_};
  outage_ = std::move(error);
}

void FakeStateStore::recover() {
  const std::lock_guard guard{failures_mutex_};
  outage_.reset();
  failures_.clear();
}

template <class Work>
auto FakeStateStore::answer(Work work) -> decltype(work(std::declval<FakeStateData&>())) {
  ++calls_;
  std::optional<Failure> failure;
  {
    const std::lock_guard guard{failures_mutex_};
    if (!failures_.empty()) {
      failure = std::move(failures_.front());
      failures_.pop_front();
    } else if (outage_) {
      failure = Failure{*outage_};
    }
  }
  if (failure && !failure->after_effect) return failure->error;
  const std::lock_guard guard{data_->mutex};
  auto result = work(*data_);
  if (failure) return failure->error;
  return result;
}

Async<Result<ProductStock>> FakeStateStore::put_product(std::string product_id, std::int64_t stock,
                                                        std::int32_t buckets) {
  co_return answer([&](FakeStateData& data) -> Result<ProductStock> {
    if (auto valid = check_product(product_id, stock, buckets); !valid) return valid.error();
    const auto known = data.products.find(product_id);
    FakeStateData::Product product = known == data.products.end() ? FakeStateData::Product{} : known->second;
    const bool is_same = known != data.products.end() && add_up(product_id, product).stock == stock &&
                         product.buckets == buckets;
    if (!is_same)
      if (auto done = spread(product_id, product, stock, buckets); !done) return done.error();
    return add_up(product_id, data.products[product_id] = std::move(product));
  });
}

Async<Result<ProductStock>> FakeStateStore::get_product(std::string product_id) {
  co_return answer([&](FakeStateData& data) -> Result<ProductStock> {
    const auto known = data.products.find(product_id);
    if (known == data.products.end()) return unknown_product(product_id);
    return add_up(product_id, known->second);
  });
}

Async<Result<>> FakeStateStore::restore_product(std::string product_id, std::int64_t stock,
                                                std::int64_t confirmed, std::int32_t buckets) {
  co_return answer([&](FakeStateData& data) -> Result<> {
    if (auto valid = check_product(product_id, stock, buckets); !valid) return valid.error();
    FakeStateData::Product product;
    product.stock.resize(static_cast<std::size_t>(buckets));
    product.stock[0].confirmed = confirmed;
    if (auto done = spread(product_id, product, stock, buckets); !done) return done.error();
    data.products[product_id] = std::move(product);
    return {};
  });
}

Async<Result<bool>> FakeStateStore::is_restored() {
  co_return answer([](FakeStateData& data) { return Result<bool>{data.is_restored}; });
}

Async<Result<>> FakeStateStore::mark_restored() {
  co_return answer([](FakeStateData& data) {
    data.is_restored = true;
    return Result<>{};
  });
}

Async<Result<Reservation>> FakeStateStore::reserve(ReserveRequest request) {
  co_return answer([&](FakeStateData& data) -> Result<Reservation> {
    if (auto valid = check_quantity(request.product_id, request.quantity); !valid) return valid.error();
    const auto known = data.products.find(request.product_id);
    if (known == data.products.end()) return unknown_product(request.product_id);
    FakeStateData::Product& product = known->second;
    const WallTime now = rounded(request.now);
    if (const auto held = product.reservations.find(request.order_id); held != product.reservations.end()) {
      held->second.reserved_at = std::max(held->second.reserved_at, now);
      return held->second;
    }
    const std::int32_t home = home_bucket(request.order_id, product.buckets);
    for (std::int32_t i = 0; i < product.buckets; ++i) {
      const std::int32_t bucket = (home + i) % product.buckets;
      StockBucket& stock = product.stock[static_cast<std::size_t>(bucket)];
      if (stock.available < request.quantity) continue;
      stock.available -= request.quantity;
      stock.reserved += request.quantity;
      const Reservation made{request.order_id, request.product_id, bucket,
                             product.buckets,  request.quantity,   now};
      product.reservations.emplace(request.order_id, made);
      return made;
    }
    return sold_out(request.product_id, request.quantity);
  });
}

Async<Result<std::int64_t>> FakeStateStore::settle(std::vector<Settlement> settlements) {
  co_return answer([&](FakeStateData& data) {
    std::int64_t changed = 0;
    for (const Settlement& settlement : settlements) {
      const auto known = data.products.find(settlement.product_id);
      if (known == data.products.end()) continue;
      const auto held = known->second.reservations.find(settlement.order_id);
      if (held == known->second.reservations.end() || held->second.bucket != settlement.bucket) continue;
      StockBucket& stock = known->second.stock[static_cast<std::size_t>(settlement.bucket)];
      const std::int64_t quantity = held->second.quantity;
      stock.reserved -= quantity;
      (settlement.outcome == SettleOutcome::confirmed ? stock.confirmed : stock.available) += quantity;
      known->second.reservations.erase(held);
      ++changed;
    }
    return Result<std::int64_t>{changed};
  });
}

Async<Result<std::vector<Reservation>>> FakeStateStore::stale_reservations(WallTime before, std::size_t max) {
  co_return answer([&](FakeStateData& data) {
    std::vector<Reservation> stale;
    for (const auto& [id, product] : data.products)
      for (const auto& [order, reservation] : product.reservations)
        if (reservation.reserved_at < before) stale.push_back(reservation);
    std::ranges::sort(stale, {}, [](const Reservation& r) { return std::pair{r.reserved_at, r.order_id}; });
    if (stale.size() > max) stale.resize(max);
    return Result<std::vector<Reservation>>{std::move(stale)};
  });
}

Async<Result<KeyClaim>> FakeStateStore::claim_key(ClaimRequest request) {
  co_return answer([&](FakeStateData& data) -> Result<KeyClaim> {
    const WallTime wall = data.clock.wall();
    Uuid order_id = request.order_id;
    auto state = KeyClaim::State::fresh;
    const auto found = data.keys.find({request.scope, request.key});
    if (found != data.keys.end() && found->second.expires_at > wall) {
      const FakeStateData::Key& key = found->second;
      if (key.fingerprint != request.fingerprint)
        return KeyClaim{KeyClaim::State::mismatch, key.order_id, {}};
      if (key.answer) return KeyClaim{KeyClaim::State::answered, key.order_id, *key.answer};
      if (key.order_id != request.order_id) {
        if (key.lease_until > request.now) return KeyClaim{KeyClaim::State::pending, key.order_id, {}};
        state = KeyClaim::State::taken_over;
        order_id = key.order_id;
      }
    }
    data.keys[{request.scope, request.key}] = {request.fingerprint, order_id,
                                               later(request.now, request.lease), later(wall, request.keep),
                                               std::nullopt};
    return KeyClaim{state, order_id, {}};
  });
}

Async<Result<>> FakeStateStore::answer_key(std::string scope, std::string key, std::string answer_text,
                                           Duration keep) {
  co_return answer([&](FakeStateData& data) -> Result<> {
    const auto found = data.keys.find({scope, key});
    if (found == data.keys.end() || found->second.answer || found->second.expires_at <= data.clock.wall())
      return {};
    found->second.answer = answer_text;
    found->second.expires_at = later(data.clock.wall(), keep);
    return {};
  });
}

Async<Result<>> FakeStateStore::release_key(std::string scope, std::string key, Uuid order_id) {
  co_return answer([&](FakeStateData& data) -> Result<> {
    const auto found = data.keys.find({scope, key});
    if (found != data.keys.end() && found->second.order_id == order_id && !found->second.answer)
      data.keys.erase(found);
    return {};
  });
}

Async<Result<RateDecision>> FakeStateStore::take_token(std::string client, double rate, double burst,
                                                       WallTime now) {
  co_return answer([&](FakeStateData& data) -> Result<RateDecision> {
    if (!(rate > 0)) return RateDecision{};
    return RateBucket{rate, burst}.take(data.rates[client], unix_us(now));
  });
}

Async<Result<std::optional<std::string>>> FakeStateStore::cache_get(std::string key) {
  co_return answer([&](FakeStateData& data) -> Result<std::optional<std::string>> {
    const auto found = data.cache.find(key);
    if (found == data.cache.end() || found->second.expires_at <= data.clock.wall())
      return std::optional<std::string>{};
    return std::optional{found->second.value};
  });
}

Async<Result<>> FakeStateStore::cache_put(std::string key, std::string value, Duration ttl) {
  co_return answer([&](FakeStateData& data) -> Result<> {
    data.cache[key] = {value, later(data.clock.wall(), ttl)};
    return {};
  });
}

Async<Result<>> FakeStateStore::cache_drop(std::vector<std::string> keys) {
  co_return answer([&](FakeStateData& data) -> Result<> {
    for (const std::string& key : keys) data.cache.erase(key);
    return {};
  });
}

Async<Result<std::optional<Lease>>> FakeStateStore::acquire_lease(std::string name, std::string owner,
                                                                  Duration ttl) {
  co_return answer([&](FakeStateData& data) -> Result<std::optional<Lease>> {
    const WallTime wall = data.clock.wall();
    const auto [found, is_new] =
        data.leases.try_emplace(name, FakeStateData::Held{"", unix_us(wall), WallTime::min()});
    FakeStateData::Held& held = found->second;
    const bool is_held = held.expires_at > wall;
    if (is_held && held.owner != owner) return std::optional<Lease>{};
    if (!is_held && !is_new) ++held.token;
    held.owner = owner;
    held.expires_at = later(wall, ttl);
    return std::optional{Lease{name, owner, held.token}};
  });
}

Async<Result<>> FakeStateStore::release_lease(Lease lease) {
  co_return answer([&](FakeStateData& data) -> Result<> {
    const auto found = data.leases.find(lease.name);
    if (found != data.leases.end() && found->second.owner == lease.owner &&
        found->second.token == lease.token)
      found->second.expires_at = WallTime::min();
    return {};
  });
}

Async<Result<>> FakeStateStore::ping() {
  co_return answer([](FakeStateData&) { return Result<>{}; });
}

}  // namespace flux::testing
