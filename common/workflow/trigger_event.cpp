#include "common/workflow/trigger_event.hpp"

#include <boost/json.hpp>

namespace flux {
namespace json = boost::json;

std::string encode_trigger_event(const TriggerEvent& event) {
  return R"({"runId":")" + event.run_id.to_string() + R"(","workflowId":")" + event.workflow_id.to_string() +
         "\"}";
}

Result<TriggerEvent> decode_trigger_event(std::string_view payload) {
  const auto bad = [](std::string_view why) {
    return Error{Errc::invalid_argument, "not a trigger event: " + std::string(why)};
  };
  boost::system::error_code ec;
  json::parse_options options;
  options.max_depth = 2;
  if (payload.size() > 1024) return bad("too large");
  const json::value document = json::parse(payload, ec, {}, options);
  if (ec) return bad(ec.message());
  const auto* object = document.if_object();
  if (object == nullptr || object->size() != 2) return bad("expected an object with runId and workflowId");
  const auto id = [&](const char* key) -> Result<Uuid> {
    const json::value* value = object->if_contains(key);
    if (value == nullptr || !value->is_string()) return bad(key);
    return Uuid::parse(value->get_string());
  };
  auto run = id("runId");
  auto workflow = id("workflowId");
  if (!run || !workflow) return bad("ids must be UUIDs");
  return TriggerEvent{*run, *workflow};
}

}  // namespace flux
