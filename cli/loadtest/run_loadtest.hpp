#pragma once
// Drives one load test from plan to result. Knows no command line: `flux
// loadtest`, `flux capacity search` and tests use it alike.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/loadtest/engine.hpp"
#include "cli/loadtest/result.hpp"
#include "cli/loadtest/threshold.hpp"
#include "common/core/result.hpp"

namespace flux::loadtest {

struct RunPlan {
  Target target{};
  Scenario scenario{};
  UserPlan users{};                     // with a rate: users.users is the limit
  double rate = 0;                      // per second; above 0: open model
  std::optional<ThinkTime> think{};     // wins over the scenario's
  std::uint64_t requests_per_user = 0;  // 0: until the time is over
  Duration run_time = std::chrono::seconds{30};
  Duration warmup{};
  Duration timeout = std::chrono::seconds{30};
  bool keep_alive = true;
  std::uint32_t threads = 0;  // 0: half the cores
  std::uint64_t seed = 0;
  std::vector<Threshold> thresholds{};
  bool calibrate = true;
};

// What is going on, for a panel or a progress line.
struct LiveView {
  double elapsed_s = 0;
  double run_time_s = 0;
  std::uint32_t users = 0;
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  bool ending = false;                                   // waiting for the last answers
  const std::vector<TimelinePoint>* timeline = nullptr;  // full seconds so far
};

// A finished run, with what does not fit into a result.
struct RunOutput {
  RunResult result{};
  LatencyHistogram service{};
  LatencyHistogram response{};
};

// Runs to the end, calling `observe` four times a second from the calling thread.
// Set control.stop to end early. Unavailable: nobody listens at the target.
Result<RunOutput> run_loadtest(const RunPlan& plan, RunControl& control,
                               const std::function<void(const LiveView&)>& observe);

// The number of users that the file descriptors of this process allow, after
// raising the soft limit as far as it goes.
std::uint32_t raise_user_limit();

}  // namespace flux::loadtest
