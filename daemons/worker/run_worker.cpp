#include "daemons/worker/run_worker.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "common/core/log.hpp"
#include "common/engines/open_engines.hpp"
#include "common/metrics/registry.hpp"
#include "daemons/runtime/admin_server.hpp"
#include "daemons/runtime/blocking_pool.hpp"
#include "daemons/runtime/shutdown_signals.hpp"
#include "daemons/worker/dead_letter.hpp"
#include "daemons/worker/reap_reservations.hpp"
#include "daemons/worker/requeue_runs.hpp"
#include "daemons/worker/run_workflows.hpp"
#include "daemons/worker/settle_orders.hpp"

namespace flux::worker {
namespace {

namespace asio = boost::asio;

// A loop that waits for work instead of ending when there is none.
struct OwnedLoop {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
};

bool wait_or_stop(const std::stop_token& stop, Duration time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  return !stop.stop_requested();
}

class WorkerProcess {
 public:
  WorkerProcess(const Config& config, const WorkerOptions& options) : config_(config), options_(options) {}

  Result<> open() {
    auto log = open_event_log(config_);
    if (!log) return log.error();
    log_ = std::move(*log);
    return {};
  }

  // Servers that are not there yet are waited for; the daemon is alive but not ready.
  void start() {
    threads_.emplace_back([this](const std::stop_token& stop) {
      ledger_ = insist(stop, [&] { return open_ledger(config_); });
      if (ledger_ && prepare_topics(stop)) prepared_ = true;
    });
    for (int i = 0; i < options_.consumers; ++i)
      threads_.emplace_back([this, i](const std::stop_token& stop) {
        while (!prepared_ && wait_or_stop(stop, std::chrono::milliseconds{50})) {
        }
        const std::string member = options_.name + "/" + std::to_string(i);
        if (stop.stop_requested()) return;
        options_.group == "inventory" ? settle(stop, member) : run_workflows(stop, member);
      });
    threads_.emplace_back([this](const std::stop_token& stop) {
      while (!prepared_ && wait_or_stop(stop, std::chrono::milliseconds{50})) {
      }
      options_.group == "inventory" ? reap(stop) : sweep(stop);
    });
  }

  void stop() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();  // joins
  }

  std::vector<std::string> not_ready_because() const {
    if (!prepared_) return {"waiting for the ledger, the event log and its topics"};
    if (settle_counters_.stalled || workflow_counters_.stalled)
      return {"the ledger or the event log cannot be reached"};
    return {};
  }

  void register_metrics(MetricsRegistry& metrics) {
    auto& settled = "flux_orders_settled_total";
    auto& confirmed =
        metrics.sampled_counter(settled, "Orders settled in the ledger", {{"status", "confirmed"}});
    auto& rejected =
        metrics.sampled_counter(settled, "Orders settled in the ledger", {{"status", "rejected"}});
    auto& batches =
        metrics.sampled_counter("flux_settle_batches_total", "Ledger transactions of settled orders");
    auto& failures =
        metrics.sampled_counter("flux_settle_failures_total", "Batches that had to be tried again");
    auto& letters = metrics.sampled_counter("flux_dead_letters_total", "Events moved to the dead letters");
    auto& runs = "flux_workflow_runs_total";
    auto& succeeded = metrics.sampled_counter(runs, "Workflow runs that ended", {{"status", "succeeded"}});
    auto& failed = metrics.sampled_counter(runs, "Workflow runs that ended", {{"status", "failed"}});
    auto& in_flight = metrics.gauge("flux_workflow_runs_in_flight", "Workflow runs in hand");
    auto& reaped =
        metrics.sampled_counter("flux_reservations_reaped_total", "Reservations ended by the reaper");
    metrics.before_exposition([&, this] {
      const auto read = [](const std::atomic<std::uint64_t>& n) { return static_cast<double>(n.load()); };
      confirmed.set(read(settle_counters_.confirmed));
      rejected.set(read(settle_counters_.rejected));
      batches.set(read(settle_counters_.batches));
      failures.set(read(settle_counters_.ledger_failures));
      letters.set(read(settle_counters_.dead_lettered) + read(workflow_counters_.dead_lettered));
      succeeded.set(read(workflow_counters_.succeeded));
      failed.set(read(workflow_counters_.failed));
      in_flight.set(static_cast<double>(workflow_counters_.in_flight.load()));
      reaped.set(read(reaped_));
    });
    register_process_metrics(metrics);
  }

 private:
  bool prepare_topics(const std::stop_token& stop) {
    std::vector<TopicSpec> topics;
    for (const auto& [name, topic] : config_.kafka.topics) {
      topics.push_back({name, topic.partitions, topic.replication});
      topics.push_back({dead_letter_topic(name), 1, topic.replication});
    }
    for (int failures = 0; !stop.stop_requested(); ++failures) {
      const auto ensured = log_->ensure_topics(topics);
      if (ensured) return true;
      if (failures % 10 == 0)
        log::warning("waiting for the event log", {{"reason", ensured.error().one_line()}});
      wait_or_stop(stop, std::chrono::milliseconds{500});
    }
    return false;
  }

  // Tries until the engine opens or the worker stops.
  template <class Open>
  auto insist(const std::stop_token& stop, Open open) -> std::remove_reference_t<decltype(*open())> {
    for (int failures = 0; !stop.stop_requested(); ++failures) {
      auto opened = open();
      if (opened) return std::move(*opened);
      if (failures % 10 == 0) log::warning("waiting for an engine", {{"reason", opened.error().one_line()}});
      wait_or_stop(stop, std::chrono::milliseconds{500});
    }
    return nullptr;
  }

  void settle(const std::stop_token& stop, const std::string& member) {
    OwnedLoop loop;
    auto store = insist(stop, [&] { return open_state_store(config_, loop.context.get_executor()); });
    if (!store) return;
    SettleOptions settle_options;
    settle_options.member_name = member;
    settle_options.batch = static_cast<std::size_t>(config_.worker.batch);
    OrderSettler settler(*log_, *ledger_, *store, loop.context, settle_options, settle_counters_);
    if (auto ended = settler.run(stop); !ended)
      log::warning("left the group late", {{"reason", ended.error().one_line()}});
  }

  void run_workflows(const std::stop_token& stop, const std::string& member) {
    OwnedLoop loop;
    auto store = insist(stop, [&] { return open_state_store(config_, loop.context.get_executor()); });
    auto producer = insist(stop, [&] { return log_->producer(loop.context.get_executor()); });
    if (!store || !producer) return;
    runtime::BlockingPool pool(4);
    std::jthread turning([&] { loop.context.run(); });
    WorkflowOptions workflow_options;
    workflow_options.member_name = member;
    WorkflowRunner runner(*log_, {*ledger_, pool, *producer, *store}, loop.context, workflow_options,
                          workflow_counters_);
    if (auto ended = runner.run(stop); !ended)
      log::warning("left the group late", {{"reason", ended.error().one_line()}});
    pool.stop();
    loop.context.stop();
  }

  void reap(const std::stop_token& stop) {
    OwnedLoop loop;
    auto store = insist(stop, [&] { return open_state_store(config_, loop.context.get_executor()); });
    if (!store) return;
    ReapOptions reap_options;
    reap_options.grace = config_.worker.reap_after;
    ReservationReaper reaper(*log_, *ledger_, *store, loop.context, options_.name, reap_options);
    while (wait_or_stop(stop, std::chrono::seconds{2})) {
      const auto count = reaper.round();
      if (!count) {
        log::debug("reaper waits", {{"reason", count.error().one_line()}});
      } else if (count->confirmed + count->returned > 0) {
        reaped_.fetch_add(static_cast<std::uint64_t>(count->confirmed + count->returned));
        log::info("reservations of unknown fate ended", {{"confirmed", std::to_string(count->confirmed)},
                                                         {"returned", std::to_string(count->returned)}});
      }
    }
  }

  void sweep(const std::stop_token& stop) {
    OwnedLoop loop;
    auto store = insist(stop, [&] { return open_state_store(config_, loop.context.get_executor()); });
    auto producer = insist(stop, [&] { return log_->producer(loop.context.get_executor()); });
    if (!store || !producer) return;
    QueuedRunSweeper sweeper(*log_, *ledger_, *store, *producer, loop.context, options_.name);
    while (wait_or_stop(stop, std::chrono::seconds{5})) {
      const auto published = sweeper.round();
      if (!published)
        log::debug("sweeper waits", {{"reason", published.error().one_line()}});
      else if (*published > 0)
        log::info("queued runs triggered again", {{"count", std::to_string(*published)}});
    }
  }

  const Config& config_;
  const WorkerOptions& options_;
  std::unique_ptr<EventLog> log_;
  std::unique_ptr<Ledger> ledger_;
  SettleCounters settle_counters_;
  WorkflowCounters workflow_counters_;
  std::atomic<std::uint64_t> reaped_{0};
  std::atomic<bool> prepared_{false};
  std::vector<std::jthread> threads_;
};

}  // namespace

Result<ExitCode> run_worker(const Config& config, const WorkerOptions& options) {
  if (options.group != "inventory" && options.group != "workflows")
    return Error{Errc::invalid_argument, "unknown worker group '" + options.group + "'",
                 "use inventory or workflows"};
  runtime::ShutdownSignals signals;
  WorkerProcess process(config, options);
  if (auto opened = process.open(); !opened) return opened.error();
  MetricsRegistry metrics;
  process.register_metrics(metrics);
  auto admin = runtime::AdminServer::start(options.listen, options.address_file, metrics,
                                           [&] { return process.not_ready_because(); });
  if (!admin) return admin.error();
  log::info("worker started", {{"group", options.group},
                               {"consumers", std::to_string(options.consumers)},
                               {"admin", (*admin)->address()}});
  process.start();
  signals.wait();
  log::info("draining");
  process.stop();
  log::info("drained");
  return ExitCode::done;
}

}  // namespace flux::worker
