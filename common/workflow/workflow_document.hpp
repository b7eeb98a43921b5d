#pragma once
// Steps as the ledgers keep them: one JSON array per workflow and per run.

#include <string>
#include <string_view>
#include <vector>

#include "common/workflow/workflow.hpp"

namespace flux {

std::string encode_steps(const std::vector<WorkflowStep>& steps);
std::string encode_step_runs(const std::vector<StepRun>& steps);

// `corrupted` for anything that the functions above did not write. Never throws.
Result<std::vector<WorkflowStep>> decode_steps(std::string_view text);
Result<std::vector<StepRun>> decode_step_runs(std::string_view text);

}  // namespace flux
