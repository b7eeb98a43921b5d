#pragma once
// The Ledger on PostgreSQL: every call but settle_orders is one round trip.

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/engines/distributed/postgres/connection_pool.hpp"
#include "common/engines/distributed/postgres/postgres_engine.hpp"
#include "common/ports/ledger.hpp"
#include "common/ports/offset_fence.hpp"

namespace flux::postgres {

class PostgresLedger final : public Ledger {
 public:
  static Result<std::unique_ptr<PostgresLedger>> open(const PostgresOptions& options);

  // ledger_orders.cpp
  Result<> put_product(const LedgerProduct& product) override;
  Result<LedgerProduct> get_product(const std::string& product_id) override;
  Result<std::vector<LedgerProduct>> list_products() override;
  Result<PartitionClaim> claim_partition(const std::string& group, const TopicPartition& source) override;
  Result<std::vector<SettledOrder>> settle_orders(const std::vector<OffsetRange>& ranges,
                                                  const std::vector<Order>& orders, WallTime now) override;
  Result<> advance(const OffsetRange& range) override;
  Result<std::optional<Order>> find_order(const Uuid& id) override;
  Result<std::vector<SettledOrder>> find_settled(const std::vector<Uuid>& ids) override;
  Result<std::vector<std::int64_t>> next_offsets(const std::string& group, const std::string& topic,
                                                 std::int32_t partitions) override;

  // ledger_workflows.cpp
  Result<Workflow> create_workflow(const Workflow& workflow) override;
  Result<Workflow> get_workflow(const Uuid& id) override;
  Result<Workflow> update_workflow(const Workflow& workflow,
                                   std::optional<std::int64_t> expected_version) override;
  Result<> create_run(const Run& run) override;
  Result<> delete_queued_run(const Uuid& id) override;
  Result<Run> get_run(const Uuid& id) override;
  Result<std::vector<Run>> list_runs(const RunQuery& query) override;
  Result<> save_run(const Run& run, const PartitionClaim& claim) override;
  Result<> finish_run(const Run& run, const OffsetRange& range) override;
  Result<std::vector<Run>> queued_runs_before(WallTime before, std::size_t max) override;

  // ledger_jobs.cpp
  Result<> put_job(const Job& job) override;
  Result<std::vector<Job>> take_due_jobs(const std::string& type, WallTime now, Duration lease,
                                         std::size_t max) override;
  Result<> finish_job(const Job& job) override;
  Result<> audit(const AuditEvent& event) override;
  Result<std::vector<AuditEvent>> recent_audit(std::size_t limit) override;
  Result<> ping(Duration timeout) override;

 private:
  struct Replica {
    explicit Replica(Endpoint endpoint, std::size_t size) : pool(std::move(endpoint), size) {}
    ConnectionPool pool;
    std::atomic<std::int64_t> down_until_ns{0};  // steady; asked again after it
  };

  PostgresLedger(Endpoint primary, const PostgresOptions& options)
      : timeout_(options.timeout), primary_(std::move(primary), options.pool) {}
  SteadyTime deadline() const { return std::chrono::steady_clock::now() + timeout_; }
  Result<std::vector<Rows>> run(const std::vector<Statement>& statements);
  // The only statement's rows.
  Result<Rows> run(Statement statement);
  // From a replica that answers; nullopt: ask the primary.
  std::optional<Rows> run_on_replica(const Statement& statement);

  Duration timeout_;
  ConnectionPool primary_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  std::atomic<std::size_t> next_replica_{0};
};

// Selects epoch and next_offset of a claim's partition; for fence_of.
Statement select_offset(const PartitionClaim& claim);
std::optional<PartitionOffset> offset_of(const Rows& rows);
// After a fenced write found no row: why. Succeeds when it is a repetition.
Result<> explain_fence(const OffsetRange& range, const Rows& present);

inline std::int64_t row_limit(std::size_t limit) {
  return static_cast<std::int64_t>(std::min<std::size_t>(limit, 1'000'000'000));
}

// `read(rows, i)` of every row.
template <class Read>
auto collect(const Rows& rows, Read read) {
  std::vector<std::invoke_result_t<Read, const Rows&, int>> items;
  items.reserve(static_cast<std::size_t>(rows.count()));
  for (int i = 0; i < rows.count(); ++i) items.push_back(read(rows, i));
  return items;
}

}  // namespace flux::postgres
