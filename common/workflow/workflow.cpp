#include "common/workflow/workflow.hpp"

namespace flux {

std::string_view to_string(StepKind kind) {
  switch (kind) {
    case StepKind::http: return "http";
    case StepKind::emit: return "emit";
    case StepKind::sleep: return "sleep";
  }
  return "sleep";
}

std::string_view to_string(RunStatus status) {
  switch (status) {
    case RunStatus::queued: return "queued";
    case RunStatus::running: return "running";
    case RunStatus::succeeded: return "succeeded";
    case RunStatus::failed: return "failed";
  }
  return "queued";
}

Result<StepKind> parse_step_kind(std::string_view text) {
  for (const auto kind : {StepKind::http, StepKind::emit, StepKind::sleep})
    if (text == to_string(kind)) return kind;
  return Error{Errc::invalid_argument, "unknown step kind '" + std::string(text) + "'",
               "use http, emit or sleep"};
}

Result<RunStatus> parse_run_status(std::string_view text) {
  for (const auto status : {RunStatus::queued, RunStatus::running, RunStatus::succeeded, RunStatus::failed})
    if (text == to_string(status)) return status;
  return Error{Errc::invalid_argument, "unknown run status '" + std::string(text) + "'",
               "use queued, running, succeeded or failed"};
}

}  // namespace flux
