#pragma once
// GET /openapi.json: the description of this API, built in.

#include "daemons/runtime/route_table.hpp"

namespace flux::api {

void add_openapi_route(runtime::RouteTable& routes);

}  // namespace flux::api
