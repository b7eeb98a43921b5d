#pragma once
// PUT and GET /v1/products/{id}.

#include "daemons/api/api_state.hpp"
#include "daemons/runtime/route_table.hpp"

namespace flux::api {

void add_product_routes(runtime::RouteTable& routes, ApiLoop& loop);

}  // namespace flux::api
