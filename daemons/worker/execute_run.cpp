#include "daemons/worker/execute_run.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <random>

#include "common/core/log.hpp"
#include "daemons/worker/dead_letter.hpp"
#include "daemons/worker/retry_backoff.hpp"
#include "daemons/worker/workflow_steps.hpp"

namespace flux::worker {
namespace {

namespace asio = boost::asio;

// One run being executed; lives in its coroutine's frame.
class Execution {
 public:
  Execution(RunEngines engines, RunTask task) : engines_(engines), task_(std::move(task)) {
    for (const auto& [name, value] : task_.record.headers)
      if (name == "traceparent") traceparent_ = value;
  }

  asio::awaitable<RunEnd> run() {
    if (!co_await load()) co_return end_;
    for (std::size_t i = 0; i < run_.steps.size(); ++i) {
      if (run_.steps[i].status == RunStatus::succeeded) continue;
      if (!co_await run_step(i)) co_return end_;
    }
    run_.status = RunStatus::succeeded;
    run_.finished_at = system_clock().wall();
    if (!co_await save()) co_return RunEnd::abandoned;
    co_return RunEnd::succeeded;
  }

 private:
  bool abandoned() const { return task_.abandoned->load(std::memory_order_relaxed); }

  // Waits; wakes early when the run is to be given up.
  asio::awaitable<bool> wait(Duration left) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    const auto until = std::chrono::steady_clock::now() + left;
    while (!abandoned()) {
      const auto now = std::chrono::steady_clock::now();
      if (now >= until) co_return true;
      timer.expires_after(std::min<Duration>(until - now, std::chrono::milliseconds{200}));
      boost::system::error_code ec;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
    end_ = RunEnd::abandoned;
    co_return false;
  }

  // Repeats a ledger call until it gives a final answer or the run is given up.
  template <class Call>
  auto insist(Call call) -> asio::awaitable<std::optional<std::invoke_result_t<Call>>> {
    for (int attempt = 0;; ++attempt) {
      auto result = co_await engines_.pool.run(call);
      const bool passing = !result && (result.error().retryable || result.error().code == Errc::timed_out ||
                                       result.error().code == Errc::unavailable);
      if (!passing) co_return result;
      if (!co_await wait(backoff_wait(kLedgerBackoff, attempt, random_))) co_return std::nullopt;
    }
  }

  asio::awaitable<bool> save() {
    auto saved = co_await insist([this] { return engines_.ledger.save_run(run_, task_.claim); });
    if (!saved || !*saved) {
      if (saved)
        log::debug("run given up", {{"run", run_.id.to_string()}, {"reason", saved->error().message}});
      end_ = RunEnd::abandoned;
      co_return false;
    }
    // Readers see the new state at once; when the cache cannot be told, within its TTL.
    std::vector<std::string> stale(1, "run:" + run_.id.to_string());
    (void)co_await engines_.store.cache_drop(std::move(stale));
    co_return true;
  }

  asio::awaitable<bool> load() {
    auto run = co_await insist([this] { return engines_.ledger.get_run(task_.trigger.run_id); });
    auto workflow =
        co_await insist([this] { return engines_.ledger.get_workflow(task_.trigger.workflow_id); });
    if (!run || !workflow) co_return false;  // given up while the ledger was away
    if (*run && ((*run)->status == RunStatus::succeeded || (*run)->status == RunStatus::failed)) {
      end_ = (*run)->status == RunStatus::succeeded ? RunEnd::succeeded : RunEnd::failed;
      co_return false;
    }
    if (!*workflow) {
      if (*run) {
        run_ = std::move(**run);
        co_await fail("its workflow does not exist");
      } else {
        co_await send_dead_letter("neither the run nor its workflow exists", 1);
        end_ = RunEnd::failed;
      }
      co_return false;
    }
    workflow_ = std::move(**workflow);
    if (*run) {
      run_ = std::move(**run);
    } else {  // triggered by another program through the log alone
      run_ = {.id = task_.trigger.run_id, .workflow_id = workflow_.id, .created_at = task_.record.timestamp};
      auto created = co_await insist([this] { return engines_.ledger.create_run(run_); });
      if (!created) co_return false;
      if (!*created) co_return co_await fail(created->error().message);
    }
    if (run_.status == RunStatus::queued) {
      run_.workflow_version = workflow_.version;
      run_.steps.clear();
      for (const WorkflowStep& step : workflow_.steps) run_.steps.push_back({.name = step.name});
      run_.status = RunStatus::running;
      co_return co_await save();
    }
    if (run_.workflow_version != workflow_.version)
      co_return co_await fail("the workflow was changed from version " +
                              std::to_string(run_.workflow_version) + " to " +
                              std::to_string(workflow_.version) + " while the run was interrupted");
    co_return true;
  }

  asio::awaitable<bool> run_step(std::size_t index) {
    StepRun& step = run_.steps[index];
    const auto settings = parse_step_settings(workflow_.steps[index].kind, workflow_.steps[index].with_json);
    if (!settings) co_return co_await fail_step(step, settings.error().message);
    if (!step.started_at) step.started_at = system_clock().wall();
    step.status = RunStatus::running;
    const RetrySettings retry = retry_settings(*settings);
    const BackoffPolicy backoff{.first = retry.first_wait};
    while (true) {
      if (!std::holds_alternative<SleepStep>(*settings) || step.attempts == 0) ++step.attempts;
      if (!co_await save()) co_return false;
      const auto output = co_await attempt_step(*settings, step, index);
      if (abandoned()) {
        end_ = RunEnd::abandoned;
        co_return false;
      }
      if (output) {
        step.status = RunStatus::succeeded;
        step.output_json = *output;
        step.error.reset();
        step.finished_at = system_clock().wall();
        co_return co_await save();
      }
      step.error = output.error().one_line();
      if (!output.error().retryable || step.attempts >= retry.attempts)
        co_return co_await fail_step(step, output.error().one_line());
      if (!co_await wait(backoff_wait(backoff, step.attempts - 1, random_))) co_return false;
    }
  }

  asio::awaitable<Result<std::string>> attempt_step(const StepSettings& settings, const StepRun& step,
                                                    std::size_t index) {
    const StepAttempt attempt{run_.id.to_string() + ":" + std::to_string(index), traceparent_};
    if (const auto* http = std::get_if<HttpStep>(&settings)) co_return co_await run_http_step(*http, attempt);
    if (const auto* emit = std::get_if<EmitStep>(&settings))
      co_return co_await run_emit_step(*emit, attempt, engines_.producer);
    if (!co_await wait(sleep_left(std::get<SleepStep>(settings), *step.started_at, system_clock().wall())))
      co_return Error{Errc::interrupted, "interrupted"};
    co_return std::string("{}");
  }

  asio::awaitable<bool> fail_step(StepRun& step, std::string why) {
    step.status = RunStatus::failed;
    step.finished_at = system_clock().wall();
    step.error = why;
    co_return co_await fail("step '" + step.name + "': " + why);
  }

  // The dead letter first: a run that reads as failed has its letter.
  asio::awaitable<bool> fail(std::string why) {
    int attempts = 0;
    for (const StepRun& step : run_.steps) attempts = std::max(attempts, step.attempts);
    if (!co_await send_dead_letter(why, std::max(1, attempts))) co_return false;
    run_.status = RunStatus::failed;
    run_.finished_at = system_clock().wall();
    if (!co_await save()) co_return false;
    log::warning("run failed", {{"run", run_.id.to_string()}, {"reason", why}});
    end_ = RunEnd::failed;
    co_return false;
  }

  asio::awaitable<bool> send_dead_letter(std::string why, int attempts) {
    for (int attempt = 0;; ++attempt) {
      if (co_await engines_.producer.append(make_dead_letter(task_.record, task_.claim.group, why, attempts)))
        co_return true;
      if (!co_await wait(backoff_wait(kLedgerBackoff, attempt, random_))) co_return false;
    }
  }

  static constexpr BackoffPolicy kLedgerBackoff{std::chrono::milliseconds{100}, std::chrono::seconds{5}};

  RunEngines engines_;
  RunTask task_;
  std::string traceparent_;
  Workflow workflow_;
  Run run_;
  RunEnd end_ = RunEnd::abandoned;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace

asio::awaitable<RunEnd> execute_run(RunEngines engines, RunTask task) {
  Execution execution(engines, std::move(task));
  co_return co_await execution.run();
}

}  // namespace flux::worker
