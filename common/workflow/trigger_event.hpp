#pragma once
// "Run this workflow": the event of topic `workflow.trigger`, keyed by workflow.

#include <string>
#include <string_view>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"

namespace flux {

struct TriggerEvent {
  Uuid run_id;
  Uuid workflow_id;
};

std::string encode_trigger_event(const TriggerEvent& event);
Result<TriggerEvent> decode_trigger_event(std::string_view payload);  // never throws

}  // namespace flux
