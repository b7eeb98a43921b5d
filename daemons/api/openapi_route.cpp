#include "daemons/api/openapi_route.hpp"

#include "daemons_api_embedded.hpp"

namespace flux::api {

void add_openapi_route(runtime::RouteTable& routes) {
  static const auto document = std::make_shared<const std::string>(openapi_json);
  routes.add("GET", "/openapi.json",
             [](runtime::HttpRequest&) { return runtime::HttpResponse{.shared_body = document}; });
}

}  // namespace flux::api
