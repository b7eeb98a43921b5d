#include "cli/orchestrator/scale_service.hpp"

namespace flux::orchestrator {
namespace {

constexpr Duration kLook = std::chrono::milliseconds{100};

}  // namespace

Result<ScaleOutcome> scale_service(Orchestrator& orchestrator, const ScaleRequest& request,
                                   const Clock& clock, const std::function<void(Duration)>& pause) {
  const auto before = orchestrator.observe(request.service);
  if (!before) return before.error();
  const SteadyTime started = clock.steady();
  ScaleOutcome outcome{.from = before->desired};
  const auto finish = [&] {
    outcome.took = clock.steady() - started;
    return outcome;
  };
  if (auto asked = orchestrator.scale(request.service, request.replicas); !asked) return asked.error();
  outcome.applied = true;
  while (true) {
    const auto now = orchestrator.observe(request.service);
    if (now) {
      outcome.ready = now->ready;
      if (now->desired == request.replicas && now->ready == request.replicas &&
          now->running == request.replicas)
        return finish();
    }
    if (clock.steady() - started >= request.wait) break;
    pause(kLook);
  }
  // A scale-down that still drains has done its work; only missing replicas are put back.
  if (request.replicas < outcome.from && outcome.ready >= request.replicas) return finish();
  if (auto back = orchestrator.scale(request.service, outcome.from); !back) return back.error();
  outcome.applied = false;
  outcome.put_back = true;
  return finish();
}

}  // namespace flux::orchestrator
