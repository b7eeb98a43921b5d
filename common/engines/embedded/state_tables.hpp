#pragma once
// The state store's tables in one SQLite file, and each operation of the port as
// plain calls on them. A refusal (sold_out, not_found, invalid_argument) leaves
// nothing changed; after any other error the transaction must be rolled back.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/engines/embedded/sqlite_database.hpp"
#include "common/order/stock_buckets.hpp"
#include "common/ports/state_store.hpp"

namespace flux::embedded {

bool is_refusal(Errc code);

inline Blob as_blob(const Uuid& id) {
  return {{reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()}};
}

// One connection, used by one thread at a time.
class StateTables {
 public:
  // Opens the file; `create` also makes what is missing in it.
  static Result<std::unique_ptr<StateTables>> open(const std::string& file, const Clock& clock, bool create,
                                                   Duration busy_timeout);

  SqliteDatabase& database() { return *database_; }

  Result<ProductStock> put_product(const std::string& product_id, std::int64_t stock, std::int32_t buckets);
  Result<ProductStock> get_product(const std::string& product_id);
  Result<> restore_product(const std::string& product_id, std::int64_t stock, std::int64_t confirmed,
                           std::int32_t buckets);
  Result<bool> is_restored();
  Result<> mark_restored();
  Result<Reservation> reserve(const ReserveRequest& request);
  Result<std::int64_t> settle(const std::vector<Settlement>& settlements);
  Result<std::vector<Reservation>> stale_reservations(WallTime before, std::size_t max);

  Result<KeyClaim> claim_key(const ClaimRequest& request);
  Result<> answer_key(const std::string& scope, const std::string& key, const std::string& answer,
                      Duration keep);
  Result<> release_key(const std::string& scope, const std::string& key, const Uuid& order_id);
  Result<RateDecision> take_token(const std::string& client, double rate, double burst, WallTime now);
  Result<std::optional<std::string>> cache_get(const std::string& key);
  Result<> cache_put(const std::string& key, const std::string& value, Duration ttl);
  Result<> cache_drop(const std::vector<std::string>& keys);
  Result<std::optional<Lease>> acquire_lease(const std::string& name, const std::string& owner, Duration ttl);
  Result<> release_lease(const Lease& lease);

  // Looks at the next rows of every table with a time limit and deletes those
  // that are past it; a bounded piece of work, to be repeated now and then.
  Result<> sweep();

 private:
  StateTables(std::unique_ptr<SqliteDatabase> database, const Clock& clock);

  struct ProductRow {
    std::int64_t id = 0;
    std::int32_t buckets = 1;
  };
  Result<std::optional<ProductRow>> find_product(const std::string& product_id);
  Result<std::vector<StockBucket>> read_buckets(std::int64_t product);
  Result<ProductRow> write_product(const std::string& product_id, std::int32_t buckets);
  Result<> write_bucket(std::int64_t product, std::size_t bucket, const StockBucket& stock);
  Result<bool> settle_one(const Settlement& settlement);
  Result<> sweep_table(const char* table, std::string& cursor);
  std::int64_t now_us() const;

  std::unique_ptr<SqliteDatabase> database_;
  const Clock& clock_;
  std::string sweep_keys_, sweep_cache_, sweep_rates_;  // how far the sweeper has come
};

}  // namespace flux::embedded
