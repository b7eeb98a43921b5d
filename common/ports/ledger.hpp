#pragma once
// The ledger: the truth about orders, stock, workflows, runs, jobs and how far
// each consumer group has got. What a call changes, it changes in one
// transaction, durable when it returns.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/job/job.hpp"
#include "common/order/order.hpp"
#include "common/ports/event_log.hpp"
#include "common/workflow/workflow.hpp"

namespace flux {

// The right to move a partition's offset. A later owner has a larger epoch, and
// every write under an older one fails with `fenced`.
struct PartitionClaim {
  std::string group;
  TopicPartition source;
  std::int64_t epoch = 0;
  std::int64_t next_offset = 0;  // where to read on
};

// The part of a partition that a batch covers: [from, to).
struct OffsetRange {
  const PartitionClaim* claim = nullptr;
  std::int64_t from = 0;
  std::int64_t to = 0;
};

struct LedgerProduct {
  std::string product_id;
  std::int64_t stock = 0;
  std::int64_t confirmed = 0;
  std::int32_t buckets = 1;
};

struct SettledOrder {
  Uuid order_id;
  std::string product_id;
  std::int32_t bucket = 0;
  OrderStatus status = OrderStatus::confirmed;  // confirmed or rejected
};

struct DeadLetter {
  TopicPartition source;
  std::int64_t offset = 0;
  std::string reason;
};

struct RunQuery {
  std::optional<RunStatus> status{};
  std::optional<Uuid> workflow_id{};
  std::size_t limit = 50;
  std::optional<Uuid> before{};  // cursor: runs with a smaller id, newest first
};

struct AuditEvent {
  WallTime at{};
  std::string actor;
  std::string action;
  std::string detail_json = "{}";
};

// Thread-safe; calls block, at most the configured timeout. Failed:
// `unavailable` (retryable), `timed_out` (effect unknown, repeat it: all writes
// but `update_workflow`, `take_due_jobs` and `audit` are idempotent), `fenced`,
// `exhausted` (disk full), `corrupted`. Times are kept to the microsecond.
class Ledger {
 public:
  virtual ~Ledger() = default;

  virtual Result<> put_product(
      const LedgerProduct& product) = 0;  // keeps `confirmed`; stock below it: `invalid_argument`
  virtual Result<LedgerProduct> get_product(const std::string& product_id) = 0;
  virtual Result<std::vector<LedgerProduct>> list_products() = 0;

  // Takes a partition over from whoever had it.
  virtual Result<PartitionClaim> claim_partition(const std::string& group, const TopicPartition& source) = 0;

  // Writes the orders and moves the offsets of all their partitions, in one
  // transaction. An order that is in the ledger already keeps its first outcome.
  // An order is confirmed when its product's confirmed + quantity <= stock, else
  // rejected, in the order given. Returns the outcome of every order given (also
  // repeated ones), in order. `fenced` when any range is: nothing was written.
  // The same ranges again, by the same claims (the first answer was lost): changes
  // nothing, returns the first outcomes.
  virtual Result<std::vector<SettledOrder>> settle_orders(const std::vector<OffsetRange>& ranges,
                                                          const std::vector<Order>& orders, WallTime now) = 0;
  // Moves the offset alone, e.g. past poison that went to the dead letters.
  virtual Result<> advance(const OffsetRange& range) = 0;

  virtual Result<std::optional<Order>> find_order(const Uuid& id) = 0;  // replica reads allowed
  virtual Result<std::vector<SettledOrder>> find_settled(const std::vector<Uuid>& ids) = 0;  // primary only
  // How far the ledger has got in each partition of the topic; 0 where nothing was claimed.
  virtual Result<std::vector<std::int64_t>> next_offsets(const std::string& group, const std::string& topic,
                                                         std::int32_t partitions) = 0;

  // At version 1. The same workflow again is fine; another one with its id: `already_exists`.
  virtual Result<Workflow> create_workflow(const Workflow& workflow) = 0;
  virtual Result<Workflow> get_workflow(const Uuid& id) = 0;  // `not_found`
  // Replaces name and steps and adds one to the version; `conflict` unless
  // `expected_version` (when given) is the present one.
  virtual Result<Workflow> update_workflow(const Workflow& workflow,
                                           std::optional<std::int64_t> expected_version) = 0;

  virtual Result<> create_run(const Run& run) = 0;  // idempotent per id
  // Its event was certainly not persisted. `conflict` when it is past queued.
  virtual Result<> delete_queued_run(const Uuid& id) = 0;
  virtual Result<Run> get_run(const Uuid& id) = 0;
  virtual Result<std::vector<Run>> list_runs(const RunQuery& query) = 0;  // newest first; steps left empty
  virtual Result<> save_run(const Run& run,
                            const PartitionClaim& claim) = 0;  // fenced: the whole run, steps included
  // Finishes the run and moves the offset in one transaction.
  virtual Result<> finish_run(const Run& run, const OffsetRange& range) = 0;
  virtual Result<std::vector<Run>> queued_runs_before(WallTime before, std::size_t max) = 0;

  virtual Result<> put_job(const Job& job) = 0;  // idempotent per id: the first one stays
  // Takes up to `max` due jobs of a type, highest priority first, for `lease`;
  // one whose lease ran out is due again. Counts an attempt.
  virtual Result<std::vector<Job>> take_due_jobs(const std::string& type, WallTime now, Duration lease,
                                                 std::size_t max) = 0;
  // Stores status, not_before and last_error. `fenced` when the lease ran out and
  // the job was taken again since (its attempts moved on); `not_found`.
  virtual Result<> finish_job(const Job& job) = 0;

  virtual Result<> audit(const AuditEvent& event) = 0;
  virtual Result<std::vector<AuditEvent>> recent_audit(std::size_t limit) = 0;  // newest first
  virtual Result<> ping(Duration timeout) = 0;
};

}  // namespace flux
