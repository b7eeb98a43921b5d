#pragma once
// The bodies that clients send, typed. Errors are `invalid_argument` and name the field.

#include <optional>
#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/ports/ledger.hpp"
#include "common/workflow/workflow.hpp"

namespace flux::api {

struct OrderRequest {
  std::string product_id;
  std::int64_t quantity = 0;
  std::string user_id;
};

Result<OrderRequest> parse_order_request(std::string_view body);
// {"stock","buckets"?}; fills all but the id.
Result<LedgerProduct> parse_product_request(std::string_view body);
// {"name","steps"}; fills name and steps.
Result<Workflow> parse_workflow_request(std::string_view body);
// {"input"?}, or nothing at all; returns the input as JSON text.
Result<std::string> parse_trigger_request(std::string_view body);
// The query of GET /v1/runs, not decoded.
Result<RunQuery> parse_run_query(std::string_view query);

}  // namespace flux::api
