#pragma once
// The JSON documents that the API answers with.

#include <optional>
#include <string>
#include <vector>

#include "common/order/order.hpp"
#include "common/ports/state_store.hpp"
#include "common/workflow/workflow.hpp"

namespace flux::api {

std::string utc_time(WallTime t);  // 2026-01-31T12:00:00.123Z

std::string order_document(const Order& order);
std::string accepted_document(const Uuid& order_id);
std::string product_document(const ProductStock& product);
std::string workflow_document(const Workflow& workflow);
std::string run_document(const Run& run);
std::string run_list_document(const std::vector<Run>& runs, const std::optional<Uuid>& next_cursor);
std::string queued_document(const Uuid& run_id);

// The version, as an entity tag.
std::string version_tag(const Workflow& workflow);

}  // namespace flux::api
