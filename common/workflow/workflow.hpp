#pragma once
// A workflow: named steps that a worker runs in order. A run is one execution.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"

namespace flux {

enum class StepKind : std::uint8_t { http, emit, sleep };
enum class RunStatus : std::uint8_t { queued, running, succeeded, failed };

std::string_view to_string(StepKind kind);
std::string_view to_string(RunStatus status);
Result<StepKind> parse_step_kind(std::string_view text);
Result<RunStatus> parse_run_status(std::string_view text);

struct WorkflowStep {
  std::string name;
  StepKind kind = StepKind::sleep;
  std::string with_json = "{}";  // the step's settings, as the JSON object the client sent
};

struct Workflow {
  Uuid id;
  std::string name;
  std::int64_t version = 1;  // grows by one with every change; it is the ETag
  std::vector<WorkflowStep> steps{};
};

struct StepRun {
  std::string name;
  RunStatus status = RunStatus::queued;
  std::int32_t attempts = 0;
  std::optional<WallTime> started_at{};
  std::optional<WallTime> finished_at{};
  std::optional<std::string> output_json{};
  std::optional<std::string> error{};
};

struct Run {
  Uuid id;
  Uuid workflow_id;
  std::int64_t workflow_version = 1;
  RunStatus status = RunStatus::queued;
  std::string input_json = "{}";
  WallTime created_at{};
  std::optional<WallTime> finished_at{};
  std::vector<StepRun> steps{};
};

}  // namespace flux
