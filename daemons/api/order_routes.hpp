#pragma once
// POST /v1/orders and GET /v1/orders/{id}.

#include "daemons/api/api_state.hpp"
#include "daemons/api/cached_reads.hpp"
#include "daemons/runtime/route_table.hpp"

namespace flux::api {

inline constexpr const char* kOrdersTopic = "orders";

void add_order_routes(runtime::RouteTable& routes, ApiLoop& loop, CachedReads& reads);

// The state store lost its data, perhaps while this process runs: stops taking
// orders until it is rebuilt. True when it did.
Async<bool> noticed_loss(ApiLoop& loop);

}  // namespace flux::api
