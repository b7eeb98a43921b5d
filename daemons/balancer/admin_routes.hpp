#pragma once
// The admin API: what is there, and changing it while traffic flows.

#include <atomic>
#include <string>

#include "daemons/balancer/balancer_report.hpp"
#include "daemons/runtime/route_table.hpp"

namespace flux::balancer {

struct AdminView {
  UpstreamRegistry& registry;
  const Workers& workers;
  const Settings& settings;
  MetricsRegistry& metrics;
  const std::atomic<bool>& draining;
};

// /upstreams, /pools, /stats and the probes /health, /ready, /metrics.
void add_admin_routes(runtime::RouteTable& routes, const AdminView& view);

// nullptr, or the answer to a request without the token.
bool is_admitted(const runtime::HttpRequest& request, const std::string& token);

}  // namespace flux::balancer
