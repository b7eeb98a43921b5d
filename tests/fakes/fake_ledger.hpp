#pragma once
// A Ledger in memory for unit tests, with faults on demand: calls that fail
// before they change anything, and calls whose answer is lost after they did.

#include <deque>
#include <memory>
#include <mutex>

#include "common/ports/ledger.hpp"

namespace flux::testing {

class FakeLedger final : public Ledger {
 public:
  FakeLedger();
  ~FakeLedger() override;
  // A second connection to the same data, with faults of its own.
  std::unique_ptr<FakeLedger> another() const;

  enum class Effect { none, done };
  // The next call fails with `error`; Effect::done means its change happened all
  // the same. Several calls queue up.
  void fail_next(Error error, Effect effect = Effect::none);
  std::size_t calls() const;  // of the port's functions, since it was made

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
  Result<> put_job(const Job& job) override;
  Result<std::vector<Job>> take_due_jobs(const std::string& type, WallTime now, Duration lease,
                                         std::size_t max) override;
  Result<> finish_job(const Job& job) override;
  Result<> audit(const AuditEvent& event) override;
  Result<std::vector<AuditEvent>> recent_audit(std::size_t limit) override;
  Result<> ping(Duration timeout) override;

 private:
  struct Data;
  explicit FakeLedger(std::shared_ptr<Data> data);
  template <class Work>
  auto call(Work work) -> std::invoke_result_t<Work, Data&>;

  struct Fault {
    Error error;
    Effect effect;
  };
  std::shared_ptr<Data> data_;
  mutable std::mutex faults_mutex_;
  std::deque<Fault> faults_;
  std::size_t calls_ = 0;
};

}  // namespace flux::testing
