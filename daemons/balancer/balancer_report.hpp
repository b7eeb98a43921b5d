#pragma once
// What the balancer knows about itself, as JSON for the admin API and as metrics.

#include <boost/json/value.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/metrics/registry.hpp"
#include "daemons/balancer/upstream_registry.hpp"
#include "daemons/balancer/worker.hpp"

namespace flux::balancer {

using Workers = std::vector<std::unique_ptr<Worker>>;

boost::json::value describe_upstreams(const Topology& topology);
boost::json::value describe_stats(const Topology& topology, const Workers& workers);

// The exposition of everything the balancer counts; complete families.
std::string balancer_exposition(const Topology& topology, const Workers& workers);

// "up", "down" (probes), "ejected" (traffic) or "draining".
std::string_view state_of(const Upstream& upstream);

}  // namespace flux::balancer
