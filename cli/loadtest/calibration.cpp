#include "cli/loadtest/calibration.hpp"

#include "cli/loadtest/echo_server.hpp"
#include "cli/loadtest/engine.hpp"

namespace flux::loadtest {

Calibration calibrate() {
  const auto server = EchoServer::start();
  if (!server) return {};
  const auto target = resolve_target((*server)->url());
  const auto scenario = single_request({});
  if (!target || !scenario) return {};
  EnginePlan plan;
  plan.scenario = &*scenario;
  plan.target = &*target;
  plan.users = {32, 0, {}};
  plan.user_limit = 32;
  plan.think = ThinkTime{};
  plan.run_time = std::chrono::milliseconds{200};
  plan.timeout = plan.grace = std::chrono::seconds{1};
  plan.start_ns = monotonic_ns();
  RunControl control;
  Engine engine(plan, control, 0);
  engine.run();
  std::uint64_t answered = 0;
  for (const IntervalReport& report : control.reports) answered += report.names[0].outcomes[0];
  const EngineSummary& summary = engine.summary();
  if (summary.cpu_ns <= 0) return {};
  return {static_cast<double>(answered) / (static_cast<double>(summary.cpu_ns) / 1e9)};
}

}  // namespace flux::loadtest
