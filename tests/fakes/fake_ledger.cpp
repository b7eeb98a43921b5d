#include "tests/fakes/fake_ledger.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "common/order/settle_order.hpp"
#include "common/ports/ledger_errors.hpp"
#include "common/ports/offset_fence.hpp"

namespace flux::testing {
namespace {

struct StoredProduct {
  StockLine line;
  std::int32_t buckets = 1;
};

struct StoredJob {
  Job job;
  WallTime due{};
};

SettledOrder settled_of(const Order& order) {
  return {order.id, order.product_id, order.bucket, order.status};
}

WallTime kept(WallTime time) {
  return from_unix_us(unix_us(time));
}

std::optional<WallTime> kept(const std::optional<WallTime>& time) {
  return time ? std::optional{kept(*time)} : std::nullopt;
}

Run without_steps(Run run) {
  run.steps.clear();
  return run;
}

}  // namespace

struct FakeLedger::Data {
  std::mutex mutex;
  std::map<std::string, StoredProduct> products;
  std::map<std::pair<std::string, TopicPartition>, PartitionOffset> offsets;
  std::map<Uuid, Order> orders;
  std::map<Uuid, Workflow> workflows;
  std::map<Uuid, Run> runs;
  std::map<Uuid, StoredJob> jobs;
  std::vector<AuditEvent> trail;

  std::optional<PartitionOffset> offset(const PartitionClaim& claim) const {
    const auto found = offsets.find({claim.group, claim.source});
    return found == offsets.end() ? std::nullopt : std::optional{found->second};
  }

  Result<FenceVerdict> fence(const std::vector<OffsetRange>& ranges) const {
    if (auto valid = check_ranges(ranges); !valid) return valid.error();
    std::vector<std::optional<PartitionOffset>> present;
    for (const auto& range : ranges) present.push_back(offset(*range.claim));
    return check_fence(ranges, present);
  }

  void move(const std::vector<OffsetRange>& ranges) {
    for (const auto& range : ranges)
      offsets[{range.claim->group, range.claim->source}].next_offset = range.to;
  }

  void store(Run run) {
    run.finished_at = kept(run.finished_at);
    for (auto& step : run.steps) {
      step.started_at = kept(step.started_at);
      step.finished_at = kept(step.finished_at);
    }
    const auto found = runs.find(run.id);
    if (found != runs.end()) {
      found->second.status = run.status;
      found->second.finished_at = run.finished_at;
      found->second.steps = std::move(run.steps);
    } else {
      run.created_at = kept(run.created_at);
      const Uuid id = run.id;
      runs.emplace(id, std::move(run));
    }
  }
};

FakeLedger::FakeLedger() : FakeLedger(std::make_shared<Data>()) {}
FakeLedger::FakeLedger(std::shared_ptr<Data> data) : data_(std::move(data)) {}
FakeLedger::~FakeLedger() = default;

std::unique_ptr<FakeLedger> FakeLedger::another() const {
  return std::unique_ptr<FakeLedger>{new FakeLedger{data_}};
}

void FakeLedger::fail_next(Error error, Effect effect) {
  const std::lock_guard lock{faults_mutex_};
  faults_.push_back({std::move(error), effect});
}

std::size_t FakeLedger::calls() const {
  const std::lock_guard lock{faults_mutex_};
  return calls_;
}

template <class Work>
auto FakeLedger::call(Work work) -> std::invoke_result_t<Work, Data&> {
  std::optional<Fault> fault;
  {
    const std::lock_guard lock{faults_mutex_};
    ++calls_;
    if (!faults_.empty()) {
      fault = faults_.front();
      faults_.pop_front();
    }
  }
  if (fault && fault->effect == Effect::none) return fault->error;
  const std::lock_guard lock{data_->mutex};
  auto result = work(*data_);
  if (fault) return fault->error;
  return result;
}

Result<> FakeLedger::put_product(const LedgerProduct& product) {
  return call([&](Data& data) -> Result<> {
    if (auto valid = check_product(product); !valid) return valid;
    const auto found = data.products.find(product.product_id);
    const std::int64_t confirmed = found == data.products.end() ? 0 : found->second.line.confirmed;
    if (product.stock < confirmed) return stock_below_confirmed(product.product_id, product.stock, confirmed);
    data.products[product.product_id] = {{product.stock, confirmed}, product.buckets};
    return {};
  });
}

Result<LedgerProduct> FakeLedger::get_product(const std::string& product_id) {
  return call([&](Data& data) -> Result<LedgerProduct> {
    const auto found = data.products.find(product_id);
    if (found == data.products.end()) return unknown_product(product_id);
    const auto& [line, buckets] = found->second;
    return LedgerProduct{product_id, line.stock, line.confirmed, buckets};
  });
}

Result<std::vector<LedgerProduct>> FakeLedger::list_products() {
  return call([](Data& data) -> Result<std::vector<LedgerProduct>> {
    std::vector<LedgerProduct> products;
    for (const auto& [id, product] : data.products)
      products.push_back({id, product.line.stock, product.line.confirmed, product.buckets});
    return products;
  });
}

Result<PartitionClaim> FakeLedger::claim_partition(const std::string& group, const TopicPartition& source) {
  return call([&](Data& data) -> Result<PartitionClaim> {
    auto& offset = data.offsets[{group, source}];
    ++offset.epoch;
    return PartitionClaim{group, source, offset.epoch, offset.next_offset};
  });
}

Result<std::vector<SettledOrder>> FakeLedger::settle_orders(const std::vector<OffsetRange>& ranges,
                                                            const std::vector<Order>& orders, WallTime now) {
  return call([&](Data& data) -> Result<std::vector<SettledOrder>> {
    auto verdict = data.fence(ranges);
    if (!verdict) return verdict.error();
    std::vector<SettledOrder> outcomes;
    for (const Order& order : orders) {
      auto found = data.orders.find(order.id);
      if (found == data.orders.end()) {
        if (*verdict == FenceVerdict::repeated)
          return fenced_error(*ranges.front().claim, "is past this batch, which holds an order that is new");
        const auto product = data.products.find(order.product_id);
        Order settled = order;
        settled.status =
            settle_order(product == data.products.end() ? nullptr : &product->second.line, order.quantity);
        settled.accepted_at = kept(order.accepted_at);
        settled.settled_at = kept(now);
        found = data.orders.emplace(order.id, std::move(settled)).first;
      }
      outcomes.push_back(settled_of(found->second));
    }
    data.move(ranges);
    return outcomes;
  });
}

Result<> FakeLedger::advance(const OffsetRange& range) {
  return call([&](Data& data) -> Result<> {
    auto verdict = data.fence({range});
    if (!verdict) return verdict.error();
    data.move({range});
    return {};
  });
}

Result<std::optional<Order>> FakeLedger::find_order(const Uuid& id) {
  return call([&](Data& data) -> Result<std::optional<Order>> {
    const auto found = data.orders.find(id);
    if (found == data.orders.end()) return std::nullopt;
    return found->second;
  });
}

Result<std::vector<SettledOrder>> FakeLedger::find_settled(const std::vector<Uuid>& ids) {
  return call([&](Data& data) -> Result<std::vector<SettledOrder>> {
    std::vector<SettledOrder> settled;
    for (const Uuid& id : ids)
      if (const auto found = data.orders.find(id); found != data.orders.end())
        settled.push_back(settled_of(found->second));
    return settled;
  });
}

Result<std::vector<std::int64_t>> FakeLedger::next_offsets(const std::string& group, const std::string& topic,
                                                           std::int32_t partitions) {
  return call([&](Data& data) -> Result<std::vector<std::int64_t>> {
    std::vector<std::int64_t> offsets;
    for (std::int32_t partition = 0; partition < partitions; ++partition) {
      const auto found = data.offsets.find({group, {topic, partition}});
      offsets.push_back(found == data.offsets.end() ? 0 : found->second.next_offset);
    }
    return offsets;
  });
}

Result<Workflow> FakeLedger::create_workflow(const Workflow& workflow) {
  return call([&](Data& data) -> Result<Workflow> {
    Workflow first = workflow;
    first.version = 1;
    const auto& stored = data.workflows.emplace(workflow.id, first).first->second;
    const auto same_step = [](const WorkflowStep& a, const WorkflowStep& b) {
      return std::tie(a.name, a.kind, a.with_json) == std::tie(b.name, b.kind, b.with_json);
    };
    if (stored.name != workflow.name || !std::ranges::equal(stored.steps, workflow.steps, same_step))
      return workflow_exists(workflow.id);
    return stored;
  });
}

Result<Workflow> FakeLedger::get_workflow(const Uuid& id) {
  return call([&](Data& data) -> Result<Workflow> {
    const auto found = data.workflows.find(id);
    if (found == data.workflows.end()) return unknown_workflow(id);
    return found->second;
  });
}

Result<Workflow> FakeLedger::update_workflow(const Workflow& workflow,
                                             std::optional<std::int64_t> expected_version) {
  return call([&](Data& data) -> Result<Workflow> {
    const auto found = data.workflows.find(workflow.id);
    if (found == data.workflows.end()) return unknown_workflow(workflow.id);
    const std::int64_t present = found->second.version;
    if (expected_version && *expected_version != present)
      return stale_workflow(workflow.id, *expected_version, present);
    found->second = workflow;
    found->second.version = present + 1;
    return found->second;
  });
}

Result<> FakeLedger::create_run(const Run& run) {
  return call([&](Data& data) -> Result<> {
    if (!data.runs.contains(run.id)) data.store(run);
    return {};
  });
}

Result<> FakeLedger::delete_queued_run(const Uuid& id) {
  return call([&](Data& data) -> Result<> {
    const auto found = data.runs.find(id);
    if (found == data.runs.end()) return {};
    if (found->second.status != RunStatus::queued) return run_past_queued(id);
    data.runs.erase(found);
    return {};
  });
}

Result<Run> FakeLedger::get_run(const Uuid& id) {
  return call([&](Data& data) -> Result<Run> {
    const auto found = data.runs.find(id);
    if (found == data.runs.end()) return unknown_run(id);
    return found->second;
  });
}

Result<std::vector<Run>> FakeLedger::list_runs(const RunQuery& query) {
  return call([&](Data& data) -> Result<std::vector<Run>> {
    std::vector<Run> runs;
    for (auto it = data.runs.rbegin(); it != data.runs.rend() && runs.size() < query.limit; ++it) {
      const Run& run = it->second;
      if ((!query.before || run.id < *query.before) && (!query.status || run.status == *query.status) &&
          (!query.workflow_id || run.workflow_id == *query.workflow_id))
        runs.push_back(without_steps(run));
    }
    return runs;
  });
}

Result<> FakeLedger::save_run(const Run& run, const PartitionClaim& claim) {
  return call([&](Data& data) -> Result<> {
    if (auto held = check_claim(claim, data.offset(claim)); !held) return held;
    data.store(run);
    return {};
  });
}

Result<> FakeLedger::finish_run(const Run& run, const OffsetRange& range) {
  return call([&](Data& data) -> Result<> {
    auto verdict = data.fence({range});
    if (!verdict) return verdict.error();
    if (*verdict == FenceVerdict::repeated) return {};
    data.store(run);
    data.move({range});
    return {};
  });
}

Result<std::vector<Run>> FakeLedger::queued_runs_before(WallTime before, std::size_t max) {
  return call([&](Data& data) -> Result<std::vector<Run>> {
    std::vector<Run> runs;
    for (const auto& [id, run] : data.runs)
      if (run.status == RunStatus::queued && run.created_at < before && runs.size() < max)
        runs.push_back(without_steps(run));
    return runs;
  });
}

Result<> FakeLedger::put_job(const Job& job) {
  return call([&](Data& data) -> Result<> {
    data.jobs.emplace(job.id, StoredJob{job, kept(job.not_before)});
    return {};
  });
}

Result<std::vector<Job>> FakeLedger::take_due_jobs(const std::string& type, WallTime now, Duration lease,
                                                   std::size_t max) {
  return call([&](Data& data) -> Result<std::vector<Job>> {
    std::vector<StoredJob*> due;
    for (auto& [id, stored] : data.jobs) {
      const bool open = stored.job.status == JobStatus::waiting || stored.job.status == JobStatus::running;
      if (open && stored.job.type == type && stored.due <= now) due.push_back(&stored);
    }
    std::ranges::sort(due, [](const StoredJob* a, const StoredJob* b) {
      return std::tuple{-a->job.priority, a->due, a->job.id} <
             std::tuple{-b->job.priority, b->due, b->job.id};
    });
    std::vector<Job> jobs;
    for (StoredJob* stored : due) {
      if (jobs.size() == max) break;
      stored->job.status = JobStatus::running;
      ++stored->job.attempts;
      stored->job.not_before = stored->due;
      jobs.push_back(stored->job);
      stored->due = kept(now + std::chrono::duration_cast<WallTime::duration>(lease));
    }
    return jobs;
  });
}

Result<> FakeLedger::finish_job(const Job& job) {
  return call([&](Data& data) -> Result<> {
    const auto found = data.jobs.find(job.id);
    if (found == data.jobs.end()) return unknown_job(job.id);
    if (found->second.job.attempts != job.attempts) return job_taken_again(job.id);
    found->second.job.status = job.status;
    found->second.job.last_error = job.last_error;
    found->second.due = kept(job.not_before);
    return {};
  });
}

Result<> FakeLedger::audit(const AuditEvent& event) {
  return call([&](Data& data) -> Result<> {
    data.trail.push_back(event);
    data.trail.back().at = kept(event.at);
    return {};
  });
}

Result<std::vector<AuditEvent>> FakeLedger::recent_audit(std::size_t limit) {
  return call([&](Data& data) -> Result<std::vector<AuditEvent>> {
    const auto count = static_cast<std::ptrdiff_t>(std::min(limit, data.trail.size()));
    return std::vector<AuditEvent>(data.trail.rbegin(), data.trail.rbegin() + count);
  });
}

Result<> FakeLedger::ping(Duration) {
  return call([](Data&) -> Result<> { return {}; });
}

}  // namespace flux::testing
