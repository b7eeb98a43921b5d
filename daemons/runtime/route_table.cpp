#include "daemons/runtime/route_table.hpp"

#include <string>

#include "common/http/url_path.hpp"

namespace flux::runtime {

void RouteTable::add(std::string_view method, std::string_view pattern, HttpHandler handler) {
  routes_.push_back({method, pattern, std::move(handler)});
}

HttpAnswer RouteTable::dispatch(HttpRequest& request) const {
  std::string allowed;
  for (const auto& route : routes_) {
    auto params = match_path(route.pattern, request.path);
    if (!params) continue;
    request.route = route.pattern;
    if (route.method == request.method && !(request.head_only && route.method != "GET")) {
      request.params = std::move(*params);
      return route.handler(request);
    }
    if (!allowed.empty()) allowed += ", ";
    allowed += route.method;
    if (route.method == "GET") allowed += ", HEAD";
  }
  if (allowed.empty())
    return problem_response(request,
                            {404, "no such path: " + std::string(request.path.substr(0, 200)), "not_found"});
  auto response = problem_response(
      request,
      {405, std::string(request.route) + " does not take " + std::string(request.method.substr(0, 32)),
       "method_not_allowed", "use " + allowed});
  response.add_header("Allow", allowed);
  return response;
}

}  // namespace flux::runtime
