#include "daemons/api/documents.hpp"

#include <boost/json.hpp>
#include <cstdio>
#include <ctime>

namespace flux::api {
namespace {
namespace json = boost::json;

json::value time_or_null(const std::optional<WallTime>& t) {
  if (!t) return nullptr;
  return json::value(utc_time(*t));
}

// Settings, inputs and outputs are stored as JSON text that was checked when it came in.
json::value stored_json(const std::string& text) {
  json::error_code ec;
  auto value = json::parse(text, ec);
  return ec ? json::value(text) : value;
}

json::object step_run(const StepRun& step) {
  json::object out{{"name", step.name},
                   {"status", to_string(step.status)},
                   {"attempts", step.attempts},
                   {"startedAt", time_or_null(step.started_at)},
                   {"finishedAt", time_or_null(step.finished_at)}};
  if (step.output_json) out["output"] = stored_json(*step.output_json);
  if (step.error) out["error"] = *step.error;
  return out;
}

json::object run_summary(const Run& run) {
  json::object out{{"runId", run.id.to_string()},
                   {"workflowId", run.workflow_id.to_string()},
                   {"workflowVersion", run.workflow_version},
                   {"status", to_string(run.status)},
                   {"createdAt", utc_time(run.created_at)}};
  if (run.finished_at) out["finishedAt"] = utc_time(*run.finished_at);
  return out;
}

}  // namespace

std::string utc_time(WallTime t) {
  const std::int64_t ms = unix_ms(t);
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(ms % 1000));
  return text;
}

// Written by hand, as each order needs one; its ids are valid and need no escapes.
std::string order_document(const Order& order) {
  std::string out = R"({"orderId":")" + order.id.to_string() + R"(","productId":")" + order.product_id +
                    R"(","quantity":)" + std::to_string(order.quantity) + R"(,"userId":")" + order.user_id +
                    R"(","status":")";
  out += to_string(order.status);
  out += R"(","acceptedAt":")" + utc_time(order.accepted_at) + '"';
  if (order.settled_at) out += R"(,"settledAt":")" + utc_time(*order.settled_at) + '"';
  out += '}';
  return out;
}

std::string accepted_document(const Uuid& order_id) {
  return R"({"orderId":")" + order_id.to_string() + R"(","status":"accepted"})";
}

std::string queued_document(const Uuid& run_id) {
  return R"({"runId":")" + run_id.to_string() + R"(","status":"queued"})";
}

std::string product_document(const ProductStock& product) {
  return json::serialize(json::value{{"productId", product.product_id},
                                     {"stock", product.stock},
                                     {"available", product.available},
                                     {"reserved", product.reserved},
                                     {"confirmed", product.confirmed}});
}

std::string workflow_document(const Workflow& workflow) {
  json::array steps;
  for (const auto& step : workflow.steps)
    steps.push_back(
        {{"name", step.name}, {"kind", to_string(step.kind)}, {"with", stored_json(step.with_json)}});
  return json::serialize(json::value{{"workflowId", workflow.id.to_string()},
                                     {"name", workflow.name},
                                     {"version", workflow.version},
                                     {"steps", std::move(steps)}});
}

std::string version_tag(const Workflow& workflow) {
  return '"' + std::to_string(workflow.version) + '"';
}

std::string run_document(const Run& run) {
  auto out = run_summary(run);
  out["input"] = stored_json(run.input_json);
  auto& steps = out["steps"].emplace_array();
  for (const auto& step : run.steps) steps.push_back(step_run(step));
  return json::serialize(out);
}

std::string run_list_document(const std::vector<Run>& runs, const std::optional<Uuid>& next_cursor) {
  json::object out;
  auto& list = out["runs"].emplace_array();
  for (const auto& run : runs) list.push_back(run_summary(run));
  if (next_cursor) out["nextCursor"] = next_cursor->to_string();
  return json::serialize(out);
}

}  // namespace flux::api
