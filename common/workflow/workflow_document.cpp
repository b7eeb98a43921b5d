#include "common/workflow/workflow_document.hpp"

#include <boost/json.hpp>

namespace flux {
namespace {

namespace json = boost::json;

// Thrown and caught in this file only.
struct Malformed {};

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) throw Malformed{};
  return std::string(value->get_string());
}

std::optional<std::string> optional_text(const json::object& object, std::string_view key) {
  if (!object.contains(key)) return std::nullopt;
  return text_of(object, key);
}

std::int64_t integer_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_int64()) throw Malformed{};
  return value->get_int64();
}

std::optional<WallTime> optional_time(const json::object& object, std::string_view key) {
  if (!object.contains(key)) return std::nullopt;
  return from_unix_us(integer_of(object, key));
}

template <class T, class Read>
Result<std::vector<T>> decode_array(std::string_view text, Read read) {
  boost::system::error_code ec;
  json::parse_options options;
  options.allow_invalid_utf8 = true;  // outputs and errors of steps hold whatever bytes came
  const json::value document = json::parse(text, ec, {}, options);
  std::vector<T> items;
  try {
    if (ec || !document.is_array()) throw Malformed{};
    for (const auto& item : document.get_array()) {
      if (!item.is_object()) throw Malformed{};
      items.push_back(read(item.get_object()));
    }
  } catch (const Malformed&) {
    return Error{Errc::corrupted, "the steps stored in the ledger do not read back"};
  }
  return items;
}

template <class T>
T checked(Result<T> parsed) {
  if (!parsed) throw Malformed{};
  return *parsed;
}

}  // namespace

std::string encode_steps(const std::vector<WorkflowStep>& steps) {
  json::array array;
  for (const auto& step : steps)
    array.push_back(json::object{
        {"name", step.name}, {"kind", std::string(to_string(step.kind))}, {"with", step.with_json}});
  return json::serialize(array);
}

std::string encode_step_runs(const std::vector<StepRun>& steps) {
  json::array array;
  for (const auto& step : steps) {
    json::object object{{"name", step.name},
                        {"status", std::string(to_string(step.status))},
                        {"attempts", std::int64_t{step.attempts}}};
    if (step.started_at) object["startedUs"] = unix_us(*step.started_at);
    if (step.finished_at) object["finishedUs"] = unix_us(*step.finished_at);
    if (step.output_json) object["output"] = *step.output_json;
    if (step.error) object["error"] = *step.error;
    array.push_back(std::move(object));
  }
  return json::serialize(array);
}

Result<std::vector<WorkflowStep>> decode_steps(std::string_view text) {
  return decode_array<WorkflowStep>(text, [](const json::object& o) {
    return WorkflowStep{text_of(o, "name"), checked(parse_step_kind(text_of(o, "kind"))), text_of(o, "with")};
  });
}

Result<std::vector<StepRun>> decode_step_runs(std::string_view text) {
  return decode_array<StepRun>(text, [](const json::object& o) {
    return StepRun{.name = text_of(o, "name"),
                   .status = checked(parse_run_status(text_of(o, "status"))),
                   .attempts = static_cast<std::int32_t>(integer_of(o, "attempts")),
                   .started_at = optional_time(o, "startedUs"),
                   .finished_at = optional_time(o, "finishedUs"),
                   .output_json = optional_text(o, "output"),
                   .error = optional_text(o, "error")};
  });
}

}  // namespace flux
