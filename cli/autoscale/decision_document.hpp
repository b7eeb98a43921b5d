#pragma once
// A decision's input and output as JSON documents, the form in which decisions are
// asked for, stored and replayed.

#include <string>
#include <string_view>

#include "cli/autoscale/decision.hpp"
#include "common/core/result.hpp"

namespace flux::autoscale {

// Errors are `invalid_argument` and name the field: "metrics[0].target.value must be …".
// Numbers that are not whole are taken to thousandths, rounded up, as Kubernetes does.
Result<DecisionInput> parse_decision_input(std::string_view json);

std::string to_json(const Decision& decision);

}  // namespace flux::autoscale
