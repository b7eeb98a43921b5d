#include "daemons/api/api_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "daemons/api/openapi_route.hpp"
#include "daemons/api/order_routes.hpp"
#include "daemons/api/product_routes.hpp"
#include "daemons/api/workflow_routes.hpp"
#include "daemons/runtime/probe_routes.hpp"

namespace flux::api {

ApiServer::ApiServer(ApiState& state, int threads, WatchOptions watch)
    : state_(state), watch_(watch), loops_(threads) {
  state_.ledger_calls = &ledger_calls_;
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    per_loop_.push_back(std::make_unique<Loop>(state_, fills_));
    auto& loop = *per_loop_.back();
    add_order_routes(loop.routes, loop.api, loop.reads);
    add_product_routes(loop.routes, loop.api);
    add_workflow_routes(loop.routes, loop.api, loop.reads);
    add_run_routes(loop.routes, loop.api, loop.reads);
    runtime::add_probe_routes(loop.routes, state_.metrics, [&state]() -> Async<std::vector<std::string>> {
      co_return not_ready_because(state);
    });
    add_openapi_route(loop.routes);
  }
}

ApiServer::~ApiServer() {
  (void)stop(Duration::zero());
  // Engines hold work of the loops, and coroutines of the loops refer to engines:
  // the loops are still, so the engines may go first.
  server_.reset();
  for (auto& loop : per_loop_) {
    loop->producer.reset();
    loop->store.reset();
  }
}

void ApiServer::set_engines(std::size_t loop, std::unique_ptr<StateStore> store,
                            std::unique_ptr<EventProducer> producer) {
  auto& at = *per_loop_.at(loop);
  at.store = std::move(store);
  at.producer = std::move(producer);
  at.api.store = at.store.get();
  at.api.producer = at.producer.get();
}

Result<runtime::ListenAddress> ApiServer::start(const runtime::ListenAddress& address,
                                                std::size_t max_connections) {
  runtime::HttpServerOptions options;
  options.limits.body_bytes = state_.config.api.max_body;
  options.max_connections = max_connections;
  std::vector<runtime::HttpHandler> handlers;
  for (auto& loop : per_loop_)
    handlers.push_back(
        [&routes = loop->routes](runtime::HttpRequest& request) { return routes.dispatch(request); });
  auto server = runtime::HttpServer::listen(loops_, address, options, std::move(handlers), state_.metrics);
  if (!server) return server.error();
  server_ = std::move(*server);
  boost::asio::co_spawn(loops_[0], watch_engines(per_loop_[0]->api, pings_, watch_), boost::asio::detached);
  loops_.start();
  return server_->address();
}

void ApiServer::begin_drain() {
  state_.draining = true;
  server_->begin_drain();
}

Result<> ApiServer::stop(Duration flush_timeout) {
  loops_.stop();
  ledger_calls_.stop();
  pings_.stop();
  Result<> flushed;
  for (auto& loop : per_loop_)
    if (loop->producer && flush_timeout > Duration::zero())
      if (auto done = loop->producer->flush(flush_timeout); !done) flushed = done.error();
  return flushed;
}

}  // namespace flux::api
