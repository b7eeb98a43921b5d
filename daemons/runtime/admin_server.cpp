#include "daemons/runtime/admin_server.hpp"

#include "daemons/runtime/probe_routes.hpp"

namespace flux::runtime {

Result<std::unique_ptr<AdminServer>> AdminServer::start(
    const std::string& listen, const std::string& address_file, MetricsRegistry& metrics,
    std::function<std::vector<std::string>()> not_ready_because) {
  const auto address = parse_listen_address(listen);
  if (!address) return address.error();
  std::unique_ptr<AdminServer> admin(new AdminServer);
  add_probe_routes(
      admin->routes_, metrics,
      [reasons = std::move(not_ready_because)]() -> boost::asio::awaitable<std::vector<std::string>> {
        co_return reasons();
      });
  HttpServerOptions options;
  options.max_connections = 256;
  auto server = HttpServer::listen(
      admin->loops_, *address, options,
      {[&routes = admin->routes_](HttpRequest& request) { return routes.dispatch(request); }}, metrics);
  if (!server) return server.error();
  admin->server_ = std::move(*server);
  admin->loops_.start();
  if (auto written = write_address_file(address_file, admin->address()); !written) return written.error();
  return admin;
}

AdminServer::~AdminServer() {
  loops_.stop();
}

}  // namespace flux::runtime
