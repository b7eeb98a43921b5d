#pragma once
// flux_http_requests_total{route,method,status} and the durations per route.

#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "common/core/clock.hpp"
#include "common/metrics/registry.hpp"

namespace flux::runtime {

// One per loop: keeps the metrics it has looked up, so that a request costs two
// relaxed additions. `route` must be static text.
class HttpMetrics {
 public:
  explicit HttpMetrics(MetricsRegistry& registry) : registry_(registry) {}
  void observe(std::string_view route, std::string_view method, int status, Duration took);

 private:
  MetricsRegistry& registry_;
  std::unordered_map<std::uint64_t, Counter*> counters_;
  std::unordered_map<const char*, Histogram*> histograms_;
};

}  // namespace flux::runtime
