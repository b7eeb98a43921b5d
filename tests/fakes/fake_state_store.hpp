#pragma once
// A state store in memory, for tests of what stands on the port. Several event
// loops of one process may share its data; failures are made to order.

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/order/stock_buckets.hpp"
#include "common/ports/state_store.hpp"

namespace flux::testing {

// The data, shared by the stores that are opened on it, as processes share a server.
class FakeStateData {
 public:
  explicit FakeStateData(const Clock& own_clock = system_clock()) : clock(own_clock) {}

  // The server restarts empty.
  void lose_everything();

  struct Product {
    std::int32_t buckets = 1;
    std::vector<StockBucket> stock;
    std::map<Uuid, Reservation> reservations;
  };
  struct Key {
    std::string fingerprint;
    Uuid order_id;
    WallTime lease_until;
    WallTime expires_at;
    std::optional<std::string> answer;
  };
  struct Cached {
    std::string value;
    WallTime expires_at;
  };
  struct Held {
    std::string owner;
    std::int64_t token = 0;
    WallTime expires_at;
  };

  const Clock& clock;
  std::mutex mutex;  // guards what follows
  std::map<std::string, Product> products;
  std::map<std::pair<std::string, std::string>, Key> keys;
  std::map<std::string, std::int64_t> rates;
  std::map<std::string, Cached> cache;
  std::map<std::string, Held> leases;
  bool is_restored = false;
};

class FakeStateStore final : public StateStore {
 public:
  explicit FakeStateStore(std::shared_ptr<FakeStateData> data = std::make_shared<FakeStateData>());
  ~FakeStateStore() override;

  FakeStateData& data() { return *data_; }

  // The next call (of those not yet given an error) fails with `error`.
  // `after_effect`: it does its work first, as when an answer is lost.
  void fail_next(Error error, bool after_effect = false);
  // Every call fails with `error` until recover().
  void fail_all(Error error);
  void recover();
  std::size_t calls() const { return calls_; }

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
  // Runs `work` under the data's mutex, unless an ordered failure comes first.
  template <class Work>
  auto answer(Work work) -> decltype(work(std::declval<FakeStateData&>()));

  struct Failure {
    Error error;
    bool after_effect = false;
  };
  std::shared_ptr<FakeStateData> data_;
  std::mutex failures_mutex_;  // tests order failures from their own thread
  std::deque<Failure> failures_;
  std::optional<Error> outage_;
  std::atomic<std::size_t> calls_{0};
};

}  // namespace flux::testing
