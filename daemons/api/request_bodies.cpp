#include "daemons/api/request_bodies.hpp"

#include <boost/json.hpp>
#include <charconv>
#include <set>

#include "common/http/strict_json.hpp"
#include "common/http/url_path.hpp"
#include "common/workflow/step_settings.hpp"

namespace flux::api {
namespace {
namespace json = boost::json;

constexpr std::size_t kMaxSteps = 100;
constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxPage = 500;

void read_id(JsonFields& fields, std::string_view name, std::string& out) {
  fields.read(name, 128, out);
  if (!fields.failed() && !is_valid_id(out))
    fields.fail(name, "must be 1 to 128 characters of A-Z a-z 0-9 . _ - and not only dots");
}

Result<WorkflowStep> parse_step(const json::value& value, const std::string& where) {
  JsonFields fields(value, where + ".");
  WorkflowStep step;
  std::string kind;
  fields.read("name", kMaxName, step.name);
  fields.read("kind", 16, kind);
  const auto* with = fields.take("with");
  if (with != nullptr && !with->is_object()) fields.fail("with", "must be a JSON object");
  if (const auto done = fields.finish(); !done) return done.error();
  const auto named = [&where, &step](const Error& error, const char* field) {
    return Error{Errc::invalid_argument, where + " ('" + step.name + "')" + field + ": " + error.message,
                 error.hint};
  };
  const auto parsed_kind = parse_step_kind(kind);
  if (!parsed_kind) return named(parsed_kind.error(), ".kind");
  step.kind = *parsed_kind;
  if (with != nullptr) step.with_json = json::serialize(*with);
  if (const auto settings = parse_step_settings(step.kind, step.with_json); !settings)
    return named(settings.error(), ".with");
  return step;
}

}  // namespace

Result<OrderRequest> parse_order_request(std::string_view body) {
  const auto value = parse_strict_json(body);
  if (!value) return value.error();
  JsonFields fields(*value, "");
  OrderRequest order;
  read_id(fields, "productId", order.product_id);
  fields.read("quantity", 1, kMaxQuantity, order.quantity);
  read_id(fields, "userId", order.user_id);
  if (const auto done = fields.finish(); !done) return done.error();
  return order;
}

Result<LedgerProduct> parse_product_request(std::string_view body) {
  const auto value = parse_strict_json(body);
  if (!value) return value.error();
  JsonFields fields(*value, "");
  LedgerProduct product;
  std::int64_t buckets = 1;
  fields.read("stock", 0, kMaxStock, product.stock);
  if (fields.has("buckets")) fields.read("buckets", 1, kMaxBuckets, buckets);
  fields.take("buckets");
  if (const auto done = fields.finish(); !done) return done.error();
  product.buckets = static_cast<std::int32_t>(buckets);
  return product;
}

Result<Workflow> parse_workflow_request(std::string_view body) {
  const auto value = parse_strict_json(body);
  if (!value) return value.error();
  JsonFields fields(*value, "");
  Workflow workflow;
  fields.read("name", kMaxName, workflow.name);
  const auto* steps = fields.take("steps");
  if (steps == nullptr)
    fields.fail("steps", "is missing");
  else if (!steps->is_array() || steps->get_array().empty() || steps->get_array().size() > kMaxSteps)
    fields.fail("steps", "must be a list of 1 to " + std::to_string(kMaxSteps) + " steps");
  if (const auto done = fields.finish(); !done) return done.error();
  std::set<std::string> names;
  for (const auto& element : steps->get_array()) {
    const std::string where = "steps[" + std::to_string(workflow.steps.size()) + "]";
    auto step = parse_step(element, where);
    if (!step) return step.error();
    if (!names.insert(step->name).second)
      return Error{Errc::invalid_argument, where + ".name '" + step->name + "' is taken by an earlier step",
                   "give every step a name of its own"};
    workflow.steps.push_back(std::move(*step));
  }
  return workflow;
}

Result<std::string> parse_trigger_request(std::string_view body) {
  if (body.empty()) return std::string("{}");
  const auto value = parse_strict_json(body);
  if (!value) return value.error();
  JsonFields fields(*value, "");
  const auto* input = fields.take("input");
  if (input != nullptr && !input->is_object()) fields.fail("input", "must be a JSON object");
  if (const auto done = fields.finish(); !done) return done.error();
  return input == nullptr ? std::string("{}") : json::serialize(*input);
}

Result<RunQuery> parse_run_query(std::string_view query) {
  const auto pairs = parse_query(query);
  if (!pairs) return pairs.error();
  RunQuery out;
  std::set<std::string> seen;
  for (const auto& [name, value] : *pairs) {
    if (!seen.insert(name).second)
      return Error{Errc::invalid_argument, "query parameter '" + name + "' is given twice"};
    if (name != "status" && name != "workflowId" && name != "limit" && name != "cursor")
      return Error{Errc::invalid_argument, "unknown query parameter '" + name + "'",
                   "use status, workflowId, limit or cursor"};
    if (value.empty()) continue;
    if (name == "status") {
      const auto status = parse_run_status(value);
      if (!status) return status.error();
      out.status = *status;
    } else if (name == "limit") {
      const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), out.limit);
      if (ec != std::errc{} || end != value.data() + value.size() || out.limit < 1 || out.limit > kMaxPage)
        return Error{Errc::invalid_argument, "limit must be a number from 1 to " + std::to_string(kMaxPage)};
    } else {
      const auto id = Uuid::parse(value);
      if (!id)
        return Error{Errc::invalid_argument, name + " is not one that this API gave out",
                     name == "cursor" ? "use nextCursor of the page before" : ""};
      (name == "cursor" ? out.before : out.workflow_id) = *id;
    }
  }
  return out;
}

}  // namespace flux::api
