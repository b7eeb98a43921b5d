#pragma once
// The state store port on Redis. Keys of one product bucket share a hash tag
// ({p:42:b3}:stock), so that a script sees one slot; the buckets of a product
// spread over slots.

#include <string>
#include <unordered_map>
#include <vector>

#include "common/engines/distributed/redis/redis_client.hpp"
#include "common/order/stock_buckets.hpp"
#include "common/ports/state_store.hpp"

namespace flux::redis {

class RedisStateStore final : public StateStore {
 public:
  RedisStateStore(std::shared_ptr<RedisClient> client, std::string prefix, Duration timeout);
  ~RedisStateStore() override;

  Async<Result<ProductStock>> put_product(std::string product_id, std::int64_t stock,
                                          std::int32_t buckets) override;
  Async<Result<ProductStock>> get_product(std::string product_id) override;
  Async<Result<>> restore_product(std::string product_id, std::int64_t stock, std::int64_t confirmed,
                                  std::int32_t buckets) override;
  Async<Result<bool>> is_restored() override;
  Async<Result<>> mark_restored() override;
  Async<Result<Reservation>> reserve(ReserveRequest request) override;
  Async<Result<std::int64_t>> settle(std::vector<Settlement> settlements) override;
  Async<Result<std::vector<Reservation>>> stale_reservations(WallTime before, std::size_t max) override;
  Async<Result<KeyClaim>> claim_key(ClaimRequest request) override;
  Async<Result<>> answer_key(std::string scope, std::string key, std::string answer, Duration keep) override;
  Async<Result<>> release_key(std::string scope, std::string key, Uuid order_id) override;
  Async<Result<RateDecision>> take_token(std::string client, double rate, double burst,
                                         WallTime now) override;
  Async<Result<std::optional<std::string>>> cache_get(std::string key) override;
  Async<Result<>> cache_put(std::string key, std::string value, Duration ttl) override;
  Async<Result<>> cache_drop(std::vector<std::string> keys) override;
  Async<Result<std::optional<Lease>>> acquire_lease(std::string name, std::string owner,
                                                    Duration ttl) override;
  Async<Result<>> release_lease(Lease lease) override;
  Async<Result<>> ping() override;

 private:
  struct Snapshot {
    std::int32_t buckets = 1;
    std::vector<StockBucket> stock;  // of all buckets it ever had
  };
  std::string bucket_key(const std::string& product_id, std::int32_t bucket, const char* what) const;
  std::vector<std::string> bucket_keys(const std::string& product_id, std::int32_t bucket) const;
  std::string products_key() const { return prefix_ + "flux:products"; }
  std::vector<std::string> restored_keys() const;

  Async<Result<Snapshot>> read_product(std::string product_id);
  Async<Result<std::int32_t>> register_product(std::string product_id, std::int32_t buckets);
  Async<Result<Lease>> lock_product(std::string product_id);
  Async<Result<ProductStock>> put_buckets(std::string product_id, std::int64_t stock, std::int32_t buckets);
  Async<Result<Reply>> reserve_in(const ReserveRequest& request, std::int32_t bucket, std::int32_t buckets,
                                  bool is_home);
  Async<Result<Reservation>> reserve_elsewhere(ReserveRequest request, std::int32_t buckets, std::string seen,
                                               bool& buckets_changed);
  Async<Result<Reply>> spill(const ReserveRequest& request, std::int32_t home, std::string seen,
                             std::string bucket);
  std::int32_t known_buckets(const std::string& product_id) const;
  void learn_buckets(const std::string& product_id, std::int32_t buckets);

  std::shared_ptr<RedisClient> client_;
  const std::string prefix_;
  const Duration timeout_;
  std::unordered_map<std::string, std::int32_t> buckets_;  // products of several buckets seen
};

// Order ids travel as their 16 bytes.
std::string to_bytes(const Uuid& id);
Result<Uuid> from_bytes(std::string_view bytes);
WallTime from_unix_us(std::int64_t us);
std::string milliseconds(Duration d);  // at least 1

}  // namespace flux::redis
