#include "cli/loadtest/run_loadtest.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <memory>
#include <thread>

#include "cli/loadtest/calibration.hpp"
#include "cli/loadtest/generator_health.hpp"

namespace flux::loadtest {
namespace {

constexpr std::uint32_t kOtherDescriptors = 64;  // files, epolls and what libraries keep open
constexpr Duration kTick = std::chrono::milliseconds{250};
constexpr Duration kLongestGrace = std::chrono::seconds{30};
constexpr Duration kSetUpTimeout = std::chrono::seconds{5};  // for one request
constexpr Duration kLongestSetUp = std::chrono::minutes{5};
constexpr double kAbortAfterS = 2;  // thresholds that abort are not asked earlier

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// Until the time, or until the last thread has ended.
void wait_until(std::int64_t time_ns, const std::atomic<std::uint32_t>& running) {
  constexpr std::int64_t kStep = 20'000'000;
  while (running.load() != 0) {
    const std::int64_t left = time_ns - monotonic_ns();
    if (left <= 0) return;
    std::this_thread::sleep_for(Duration{std::min(left, kStep)});
  }
}

// The threads of one run and what they report.
class Run {
 public:
  Run(const EnginePlan& plan, RunControl& control)
      : plan_(plan), control_(control), measured_(plan.scenario->names, plan.threads) {}

  // Starts the threads and waits for their end.
  void drive(const std::function<void(const LiveView&)>& observe, const std::vector<Threshold>& thresholds) {
    for (std::uint32_t i = 0; i < plan_.threads; ++i)
      engines_.push_back(std::make_unique<Engine>(plan_, control_, i));
    before_ = read_machine_counters();
    std::atomic<std::uint32_t> running{plan_.threads};
    std::vector<std::jthread> threads;
    for (auto& engine : engines_)
      threads.emplace_back([&running, &engine] {
        engine->run();
        running.fetch_sub(1);
        running.notify_all();
      });
    std::int64_t next = plan_.start_ns;
    while (running.load() != 0) {
      next += kTick.count();
      wait_until(next, running);
      collect();
      measured_.close_finished_seconds();
      const double elapsed = elapsed_s(monotonic_ns());
      if (observe) observe(view(elapsed));
      ask_thresholds(thresholds, elapsed);
    }
    threads.clear();
    collect();
    after_ = read_machine_counters();
  }

  RunOutput finish(const RunPlan& plan);

 private:
  double elapsed_s(std::int64_t now) const { return static_cast<double>(now - plan_.start_ns) / 1e9; }

  void collect() {
    std::vector<IntervalReport> reports;
    {
      const std::scoped_lock lock(control_.mutex);
      reports.swap(control_.reports);
    }
    for (const IntervalReport& report : reports) measured_.add(report);
  }

  LiveView view(double elapsed) const {
    LiveView view;
    view.elapsed_s = elapsed;
    view.run_time_s = static_cast<double>(plan_.run_time.count()) / 1e9;
    view.users = measured_.users();
    for (const NameTotals& name : measured_.names()) {
      view.requests += name.requests();
      view.errors += name.errors();
    }
    view.ending = elapsed > view.run_time_s;
    view.timeline = &measured_.timeline();
    return view;
  }

  void ask_thresholds(const std::vector<Threshold>& thresholds, double elapsed) {
    const double measured_for = elapsed - static_cast<double>(plan_.warmup.count()) / 1e9;
    if (measured_for < kAbortAfterS || control_.stop) return;
    for (const Threshold& threshold : thresholds)
      if (threshold.aborts && !evaluate(threshold, measured_, measured_for).ok) {
        aborted_by_ = threshold.expression;
        control_.stop = true;
        return;
      }
  }

  void report_generator(RunResult& result) const;

  const EnginePlan& plan_;
  RunControl& control_;
  Measurement measured_;
  std::vector<std::unique_ptr<Engine>> engines_;
  MachineCounters before_{};
  MachineCounters after_{};
  std::optional<std::string> aborted_by_;
};

void Run::report_generator(RunResult& result) const {
  GeneratorReport& report = result.generator;
  GeneratorEvidence evidence;
  LatencyHistogram send_lag;
  LatencyHistogram loop_lag;
  for (const auto& engine : engines_) {
    const EngineSummary& summary = engine->summary();
    const auto wall = static_cast<double>(std::max<std::int64_t>(1, summary.wall_ns));
    const double share = static_cast<double>(summary.cpu_ns) / wall;
    report.cpu_percent += 100 * share;
    evidence.busiest_thread_share = std::max(evidence.busiest_thread_share, share);
    evidence.run_queue_wait_share =
        std::max(evidence.run_queue_wait_share, static_cast<double>(summary.run_queue_wait_ns) / wall);
    send_lag.merge(summary.send_lag);
    loop_lag.merge(summary.loop_lag);
    evidence.ports_exhausted += summary.ports_exhausted;
    evidence.descriptors_exhausted += summary.descriptors_exhausted;
    report.connections += summary.connections;
  }
  report.threads = plan_.threads;
  report.busiest_thread_percent = 100 * evidence.busiest_thread_share;
  report.run_queue_wait_percent = 100 * evidence.run_queue_wait_share;
  if (after_.cpu_total > before_.cpu_total)
    evidence.steal_share = (after_.cpu_stolen - before_.cpu_stolen) / (after_.cpu_total - before_.cpu_total);
  report.steal_percent = 100 * evidence.steal_share;
  const double sent = after_.segments_out - before_.segments_out;
  if (sent > 1000)
    evidence.retransmitted_share = (after_.segments_retransmitted - before_.segments_retransmitted) / sent;
  const LatencySummary send = summarize(send_lag);
  const LatencySummary loop = summarize(loop_lag);
  report.send_lag_p50_ms = evidence.send_lag_p50_ms = send.p50;
  report.send_lag_p99_ms = evidence.send_lag_p99_ms = send.p99;
  report.max_send_lag_ms = send.max;
  report.loop_lag_p50_ms = evidence.loop_lag_p50_ms = loop.p50;
  report.loop_lag_p99_ms = evidence.loop_lag_p99_ms = loop.p99;
  report.max_loop_lag_ms = loop.max;
  evidence.loop_lag_p90_ms = loop.p90;
  evidence.service_p50_ms = result.latency.service.p50;
  evidence.service_p99_ms = result.latency.service.p99;
  evidence.paced = send_lag.count() > 0;
  report.peak_rss_bytes = peak_rss_bytes();
  judge_generator(evidence, report);
}

RunOutput Run::finish(const RunPlan& plan) {
  RunOutput output;
  RunResult& result = output.result;
  std::int64_t finished = plan_.start_ns;
  RateReport rate;
  rate.asked = plan.rate;
  std::uint64_t due = 0;
  std::uint64_t sent = 0;
  int connect_error = 0;
  for (const auto& engine : engines_) {
    const EngineSummary& summary = engine->summary();
    finished = std::max(finished, summary.finished_ns);
    result.users += summary.most_users;
    due += summary.arrivals_due;
    sent += summary.arrivals_sent;
    if (result.first_error.empty()) result.first_error = summary.first_unexpected;
    if (connect_error == 0) connect_error = summary.last_connect_error;
  }
  const double length = elapsed_s(finished);
  measured_.close_all(length);
  result.warmup_s = static_cast<double>(plan.warmup.count()) / 1e9;
  result.duration_s = std::max(1e-9, length - result.warmup_s);
  result.timeline = measured_.timeline();
  std::erase_if(result.timeline, [&](const TimelinePoint& point) { return point.t_s <= result.warmup_s; });

  const NameTotals all = measured_.totals();
  output.service.merge(all.service);
  output.response.merge(all.response);
  result.requests = all.requests();
  result.rps = static_cast<double>(result.requests) / result.duration_s;
  result.latency = {summarize(all.service), summarize(all.response)};
  result.errors = all.errors();
  result.errors_by_kind = errors_by_kind(all.outcomes);
  result.checks_passed = all.checks_passed;
  result.checks_failed = all.checks_failed;
  if (result.first_error.empty() && connect_error != 0)
    result.first_error = std::string("connecting failed: ") + std::strerror(connect_error);
  for (const NameTotals& name : measured_.names())
    result.by_name.push_back({name.name.name,
                              name.name.tags,
                              name.requests(),
                              static_cast<double>(name.requests()) / result.duration_s,
                              {summarize(name.service), summarize(name.response)},
                              name.errors(),
                              errors_by_kind(name.outcomes)});
  result.statuses = measured_.statuses();
  result.bytes_in = measured_.bytes_in();
  result.bytes_out = measured_.bytes_out();
  result.service_distribution = distribution(all.service);
  result.response_distribution = distribution(all.response);
  for (const Threshold& threshold : plan.thresholds)
    result.thresholds.push_back(evaluate(threshold, measured_, result.duration_s));
  result.aborted_by = aborted_by_;
  result.interrupted = control_.stop && !aborted_by_;
  if (plan.rate > 0) {
    const double lasted = std::min(length, static_cast<double>(plan.run_time.count()) / 1e9);
    rate.sent = static_cast<double>(sent) / std::max(lasted, 1e-9);
    rate.unsent = due - sent;
    rate.met = rate.sent >= 0.99 * rate.asked;
    result.rate = rate;
  }
  report_generator(result);
  return output;
}

std::uint32_t user_limit(const RunPlan& plan) {
  // Keys may add users while it runs, within reason.
  const std::uint32_t most = plan.users.most_users();
  return plan.rate > 0 ? most : std::max(most * 2, most + 100);
}

Result<> check_descriptors(const RunPlan& plan, std::uint32_t allowed) {
  if (plan.users.most_users() <= allowed) return {};
  return Error{
      Errc::invalid_argument,
      std::to_string(plan.users.most_users()) + " users need " +
          std::to_string(plan.users.most_users() + kOtherDescriptors) +
          " file descriptors, and this process may have " + std::to_string(allowed + kOtherDescriptors) +
          ", which is enough for " + std::to_string(allowed) + " users",
      "raise the hard limit (ulimit -Hn, LimitNOFILE= or /etc/security/limits.conf), or run several flux"};
}

// Sends the scenario's set-up requests one after the other, until one fails.
Result<> set_up(const RunPlan& plan, const EnginePlan& base, RunControl& control,
                const std::function<void(const LiveView&)>& observe) {
  if (plan.scenario.setup.empty()) return {};
  Scenario scenario;
  scenario.names = {{"set-up", {}}};
  scenario.variables = plan.scenario.variables;
  scenario.initial = plan.scenario.initial;
  scenario.flows.push_back({"set-up", 1, {}, {}, plan.scenario.setup, ThinkTime{}});
  EnginePlan once = base;
  once.scenario = &scenario;
  once.users = {1, 0, {}};
  once.arrivals = {};
  once.user_limit = 1;
  once.think = ThinkTime{};
  once.requests_per_user = plan.scenario.setup.size();
  once.threads = 1;
  once.warmup = {};
  once.run_time = kLongestSetUp;
  once.timeout = std::min(plan.timeout, kSetUpTimeout);
  once.keep_alive = true;
  once.stop_on_error = true;
  once.start_ns = monotonic_ns();
  RunControl own;
  Engine engine(once, own, 0);
  {
    std::atomic<std::uint32_t> running{1};
    const std::jthread worker([&] {
      engine.run();
      running = 0;
    });
    while (running.load() != 0) {
      wait_until(monotonic_ns() + kTick.count(), running);
      if (observe) observe({});
      if (control.stop) own.stop = true;
    }
  }
  if (control.stop) return Error{Errc::interrupted, "interrupted during the scenario's set-up"};
  std::uint64_t succeeded = 0;
  for (const IntervalReport& report : own.reports) succeeded += report.names[0].outcomes[0];
  if (succeeded == plan.scenario.setup.size()) return {};
  const std::string& unexpected = engine.summary().first_unexpected;
  return Error{Errc::unavailable,
               "the set-up of scenario '" + plan.scenario.name + "' failed at " + plan.target.url +
                   " (request " + std::to_string(succeeded + 1) + " of " +
                   std::to_string(plan.scenario.setup.size()) + ": " +
                   (unexpected.empty() ? "no answer" : unexpected) + ")",
               "is this the right service? --url PATH loads any other one"};
}

}  // namespace

std::uint32_t raise_user_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  const auto all = static_cast<std::uint32_t>(std::min<rlim_t>(limit.rlim_cur, 4'000'000));
  return all > kOtherDescriptors ? all - kOtherDescriptors : 0;
}

Result<RunOutput> run_loadtest(const RunPlan& plan, RunControl& control,
                               const std::function<void(const LiveView&)>& observe) {
  const std::uint32_t allowed = raise_user_limit();
  if (auto enough = check_descriptors(plan, allowed); !enough) return enough.error();
  if (auto there = probe_target(plan.target); !there) return there.error();
  std::optional<TlsClient> tls;
  if (plan.target.tls) {
    auto made = TlsClient::make();
    if (!made) return made.error();
    tls = std::move(*made);
  }
  EnginePlan engine;
  engine.scenario = &plan.scenario;
  engine.target = &plan.target;
  engine.tls = tls ? &*tls : nullptr;
  engine.users = plan.users;
  engine.arrivals.rate = plan.rate;
  engine.user_limit = std::min(allowed, user_limit(plan));
  engine.think = plan.think;
  engine.requests_per_user = plan.requests_per_user;
  engine.run_time = plan.run_time;
  engine.warmup = plan.warmup;
  engine.timeout = plan.timeout;
  engine.grace = std::min(plan.timeout, kLongestGrace);
  engine.keep_alive = plan.keep_alive;
  engine.seed = plan.seed;
  engine.threads = plan.threads != 0 ? plan.threads : std::max(1U, std::thread::hardware_concurrency() / 2);
  if (plan.rate == 0) engine.threads = std::min(engine.threads, std::max(1U, plan.users.most_users()));
  if (auto ready = set_up(plan, engine, control, observe); !ready) return ready.error();

  const Calibration calibration = plan.calibrate ? calibrate() : Calibration{};
  const std::string started_at = utc_now();
  engine.start_ns = monotonic_ns();
  Run run(engine, control);
  run.drive(observe, plan.thresholds);
  RunOutput output = run.finish(plan);
  RunResult& result = output.result;
  result.target = plan.target.url;
  result.scenario = plan.scenario.name;
  result.started_at = started_at;
  result.seed = plan.seed;
  const ThinkTime think = plan.think.value_or(
      plan.scenario.think.value_or(ThinkTime{std::chrono::seconds{1}, std::chrono::seconds{3}}));
  result.think_min_ms = static_cast<double>(think.least.count()) / 1e6;
  result.think_max_ms = static_cast<double>(think.most.count()) / 1e6;
  result.generator.calibrated_rps = calibration.rps_per_core;
  result.machine = this_machine();
  return output;
}

}  // namespace flux::loadtest
