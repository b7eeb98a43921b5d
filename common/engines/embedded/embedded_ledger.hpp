#pragma once
// The Ledger on one SQLite file: small transactions in turn between processes,
// readers beside the writer.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/engines/embedded/ledger_file.hpp"
#include "common/ports/ledger.hpp"
#include "common/ports/offset_fence.hpp"

namespace flux::embedded {

class EmbeddedLedger final : public Ledger {
 public:
  explicit EmbeddedLedger(std::unique_ptr<LedgerFile> file) : file_(std::move(file)) {}

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
  std::unique_ptr<LedgerFile> file_;
};

// The offset of a claimed partition, inside or outside a transaction.
Result<std::optional<PartitionOffset>> partition_offset(SqliteDatabase& database,
                                                        const PartitionClaim& claim);
// Checks the fence of all ranges and, when it passes, moves their offsets.
Result<FenceVerdict> move_offsets(SqliteDatabase& database, const std::vector<OffsetRange>& ranges);

inline Blob blob(const Uuid& id) {
  return {{reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()}};
}
// `corrupted` is not worth a code path here: the column is written by blob() only.
Uuid uuid_at(const SqliteStatement& row, int column);

// SQLite takes a negative limit for none.
inline std::int64_t row_limit(std::size_t limit) {
  return static_cast<std::int64_t>(std::min<std::size_t>(limit, 1'000'000'000));
}

// Steps `statement` to its end and collects `read(row)`.
template <class Read>
auto collect(SqliteStatement& statement, Read read)
    -> Result<std::vector<std::invoke_result_t<Read, const SqliteStatement&>>> {
  std::vector<std::invoke_result_t<Read, const SqliteStatement&>> rows;
  for (;;) {
    const auto more = statement.step();
    if (!more) return more.error();
    if (!*more) return rows;
    rows.push_back(read(statement));
  }
}

}  // namespace flux::embedded
