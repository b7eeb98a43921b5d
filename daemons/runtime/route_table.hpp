#pragma once
// Which handler answers which method and path; 404 and 405 for the rest.

#include <functional>
#include <string_view>
#include <vector>

#include "daemons/runtime/http_message.hpp"

namespace flux::runtime {

class RouteTable {
 public:
  // `method` and `pattern` are static text, e.g. "GET", "/v1/orders/{id}".
  void add(std::string_view method, std::string_view pattern, HttpHandler handler);
  // Fills in the request's route and params.
  HttpAnswer dispatch(HttpRequest& request) const;

 private:
  struct Route {
    std::string_view method;
    std::string_view pattern;
    HttpHandler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace flux::runtime
