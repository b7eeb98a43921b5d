#pragma once
// Scales one service and stays until it is ready; puts back what did not become ready.

#include <functional>
#include <string>
#include <vector>

#include "cli/orchestrator/orchestrator.hpp"
#include "cli/orchestrator/scale_guards.hpp"

namespace flux::orchestrator {

struct ScaleRequest {
  std::string service;
  std::int64_t replicas = 1;
  Duration wait = std::chrono::seconds{60};
};

struct ScaleOutcome {
  std::int64_t from = 0;
  std::int64_t ready = 0;
  bool applied = false;
  bool put_back = false;  // it did not become ready in time
  Duration took{};
};

// `pause` waits between two looks; tests move a clock instead.
Result<ScaleOutcome> scale_service(Orchestrator& orchestrator, const ScaleRequest& request,
                                   const Clock& clock, const std::function<void(Duration)>& pause);

}  // namespace flux::orchestrator
