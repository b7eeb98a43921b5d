#include "daemons/worker/run_workflows.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>
#include <thread>

#include "common/core/log.hpp"
#include "daemons/worker/dead_letter.hpp"
#include "daemons/worker/retry_backoff.hpp"

namespace flux::worker {
namespace asio = boost::asio;

WorkflowRunner::WorkflowRunner(EventLog& log, RunEngines engines, asio::io_context& loop,
                               WorkflowOptions options, WorkflowCounters& counters)
    : log_(log),
      engines_(engines),
      loop_(loop),
      options_(std::move(options)),
      counters_(counters),
      claims_(engines.ledger, options_.group) {
  claims_.on_revoked = [this](const auto& partitions) { abandon(partitions); };
}

void WorkflowRunner::abandon(const std::vector<TopicPartition>& partitions) {
  for (const TopicPartition& source : partitions) {
    const auto found = progress_.find(source);
    if (found == progress_.end()) continue;
    found->second.abandoned->store(true);
    progress_.erase(found);
  }
}

Result<> WorkflowRunner::run(std::stop_token stop) {
  std::minstd_rand random{std::random_device{}()};
  int failures = 0;
  while (!stop.stop_requested()) {
    const auto turn = [&]() -> Result<> {
      if (!consumer_) {
        auto consumer = log_.consumer({.group = options_.group,
                                       .topics = {options_.topic},
                                       .member_name = options_.member_name,
                                       .listener = &claims_});
        if (!consumer) return consumer.error();
        consumer_ = std::move(*consumer);
        paused_ = false;
      }
      if (auto applied = apply_back_pressure(); !applied) return applied;
      const bool busy = counters_.in_flight.load() > 0;
      auto records = consumer_->poll(200, std::chrono::milliseconds{busy ? 10 : 100});
      if (!records) return records.error();
      for (const ConsumedRecord& record : *records) start(record);
      return pass_finished();
    };
    const auto turned = turn();
    counters_.stalled = !turned;
    if (turned) {
      failures = 0;
      continue;
    }
    if (turned.error().code == Errc::fenced) {
      abandon(claims_.owned());
      consumer_.reset();
    }
    if (failures % 20 == 0) log::warning("workflows wait", {{"reason", turned.error().one_line()}});
    std::this_thread::sleep_for(
        backoff_wait({std::chrono::milliseconds{50}, std::chrono::seconds{2}}, failures++, random));
  }
  // Steps in hand end or give up; whatever is not finished goes on elsewhere.
  abandon(claims_.owned());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (counters_.in_flight.load() > 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  return consumer_ ? consumer_->close(std::chrono::seconds{10}) : Result<>{};
}

Result<> WorkflowRunner::apply_back_pressure() {
  const std::int64_t in_flight = counters_.in_flight.load();
  if (!paused_ && in_flight > options_.pause_above) {
    if (auto paused = consumer_->pause(claims_.owned()); !paused) return paused;
    paused_ = true;
  } else if (paused_ && in_flight < options_.resume_below) {
    if (auto resumed = consumer_->resume(claims_.owned()); !resumed) return resumed;
    paused_ = false;
  }
  return {};
}

void WorkflowRunner::start(const ConsumedRecord& record) {
  const PartitionClaim* claim = claims_.find(record.source);
  if (claim == nullptr || record.offset < claim->next_offset) return;
  Progress& progress = progress_[record.source];
  progress.entries.push_back({record.offset, false});
  counters_.in_flight.fetch_add(1);
  RunTask task{record, {}, *claim, progress.abandoned};
  if (const auto trigger = decode_trigger_event(record.value)) {
    task.trigger = *trigger;
    asio::co_spawn(loop_, execute(std::move(task)), asio::detached);
  } else {
    asio::co_spawn(loop_, bury(std::move(task), trigger.error().message), asio::detached);
  }
}

asio::awaitable<void> WorkflowRunner::execute(RunTask task) {
  RunEnd end = RunEnd::abandoned;
  try {
    end = co_await execute_run(engines_, task);
  } catch (const std::exception& e) {
    log::error("a run ended unexpectedly, it goes on after the next restart", {{"reason", e.what()}});
  }
  if (end == RunEnd::succeeded) counters_.succeeded.fetch_add(1);
  if (end == RunEnd::failed) {
    counters_.failed.fetch_add(1);
    counters_.dead_lettered.fetch_add(1);
  }
  if (end != RunEnd::abandoned) finish(task);
  counters_.in_flight.fetch_sub(1);
}

asio::awaitable<void> WorkflowRunner::bury(RunTask task, std::string reason) {
  asio::steady_timer timer(loop_);
  while (!task.abandoned->load()) {
    if (co_await engines_.producer.append(make_dead_letter(task.record, options_.group, reason, 1))) {
      counters_.dead_lettered.fetch_add(1);
      finish(task);
      break;
    }
    timer.expires_after(std::chrono::milliseconds{500});
    co_await timer.async_wait(asio::use_awaitable);
  }
  counters_.in_flight.fetch_sub(1);
}

void WorkflowRunner::finish(const RunTask& task) {
  const std::lock_guard lock(mutex_);
  finished_.push_back({task.record.source, task.claim.epoch, task.record.offset});
}

Result<> WorkflowRunner::pass_finished() {
  std::vector<Finished> finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
  }
  for (const Finished& one : finished) {
    const PartitionClaim* claim = claims_.find(one.source);
    const auto progress = progress_.find(one.source);
    if (claim == nullptr || claim->epoch != one.epoch || progress == progress_.end()) continue;
    for (auto& entry : progress->second.entries)
      if (entry.offset == one.offset) entry.finished = true;
  }
  std::vector<std::pair<TopicPartition, std::int64_t>> passed;
  for (auto& [source, progress] : progress_) {
    PartitionClaim* claim = claims_.find(source);
    auto& entries = progress.entries;
    std::int64_t to = -1;
    std::size_t count = 0;
    for (; count < entries.size() && entries[count].finished; ++count) to = entries[count].offset + 1;
    if (claim == nullptr || to < 0) continue;
    if (auto advanced = engines_.ledger.advance({claim, claim->next_offset, to}); !advanced) return advanced;
    claim->next_offset = to;
    entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(count));
    passed.emplace_back(source, to);
  }
  if (!passed.empty())
    if (auto committed = consumer_->commit(passed); !committed)
      log::debug("offsets not mirrored", {{"reason", committed.error().one_line()}});
  return {};
}

}  // namespace flux::worker
