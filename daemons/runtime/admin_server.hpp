#pragma once
// A small server with /health, /ready and /metrics only, on a thread of its own,
// for daemons whose work is not HTTP.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/metrics/registry.hpp"
#include "daemons/runtime/event_loops.hpp"
#include "daemons/runtime/http_server.hpp"
#include "daemons/runtime/route_table.hpp"

namespace flux::runtime {

class AdminServer {
 public:
  // `not_ready_because` is called on the server's thread and must not block long;
  // empty: ready. Writes the address it got to `address_file` unless that is "".
  static Result<std::unique_ptr<AdminServer>> start(
      const std::string& listen, const std::string& address_file, MetricsRegistry& metrics,
      std::function<std::vector<std::string>()> not_ready_because);
  ~AdminServer();

  std::string address() const { return server_->address().to_string(); }

 private:
  AdminServer() = default;
  EventLoops loops_{1};
  RouteTable routes_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace flux::runtime
