#pragma once
// The routes of the API on their loops, over engines that are given. What run_api
// starts, and what tests and benchmarks start over other engines.

#include <memory>
#include <vector>

#include "common/ports/event_log.hpp"
#include "common/ports/state_store.hpp"
#include "daemons/api/api_state.hpp"
#include "daemons/api/cached_reads.hpp"
#include "daemons/api/engine_watch.hpp"
#include "daemons/runtime/event_loops.hpp"
#include "daemons/runtime/http_server.hpp"
#include "daemons/runtime/route_table.hpp"

namespace flux::api {

class ApiServer {
 public:
  // `state` outlives the server and has its ledger and event log.
  ApiServer(ApiState& state, int threads, WatchOptions watch = {});
  ~ApiServer();

  runtime::EventLoops& loops() { return loops_; }
  // For each loop, made with its executor; before start().
  void set_engines(std::size_t loop, std::unique_ptr<StateStore> store,
                   std::unique_ptr<EventProducer> producer);
  // Listens and serves; returns the address it got.
  Result<runtime::ListenAddress> start(const runtime::ListenAddress& address, std::size_t max_connections);

  void begin_drain();
  bool await_drained(Duration at_most) { return server_->await_drained(at_most); }
  // Ends the loops, then flushes the producers.
  Result<> stop(Duration flush_timeout);

 private:
  struct Loop {
    ApiLoop api;
    CachedReads reads;
    runtime::RouteTable routes{};
    std::unique_ptr<StateStore> store{};
    std::unique_ptr<EventProducer> producer{};

    Loop(ApiState& state, FillTable& fills) : api{state}, reads(api, fills) {}
  };

  ApiState& state_;
  WatchOptions watch_;
  FillTable fills_;
  // Coroutines that never finished are destroyed with the loops and point into these.
  std::vector<std::unique_ptr<Loop>> per_loop_;
  runtime::EventLoops loops_;
  runtime::BlockingPool ledger_calls_{4};
  runtime::BlockingPool pings_{2};
  std::unique_ptr<runtime::HttpServer> server_;
};

}  // namespace flux::api
