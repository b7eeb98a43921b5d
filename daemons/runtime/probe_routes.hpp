#pragma once
// GET /health, /ready and /metrics: the same on every daemon.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <vector>

#include "common/metrics/registry.hpp"
#include "daemons/runtime/route_table.hpp"

namespace flux::runtime {

// Why the daemon must not get work now; empty: it is ready. Runs on the loop.
using Readiness = std::function<boost::asio::awaitable<std::vector<std::string>>()>;

void add_probe_routes(RouteTable& routes, MetricsRegistry& metrics, Readiness not_ready_because);

}  // namespace flux::runtime
