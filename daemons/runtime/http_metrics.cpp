#include "daemons/runtime/http_metrics.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

namespace flux::runtime {
namespace {

// Clients choose the method; the label must not be theirs to fill.
constexpr std::array<std::string_view, 9> kMethods{"GET",  "POST",    "PUT",   "DELETE", "PATCH",
                                                   "HEAD", "OPTIONS", "TRACE", "other"};

}  // namespace

void HttpMetrics::observe(std::string_view route, std::string_view method, int status, Duration took) {
  const auto m = std::min<std::ptrdiff_t>(std::ranges::find(kMethods, method) - kMethods.begin(),
                                          std::ssize(kMethods) - 1);
  const auto key = reinterpret_cast<std::uintptr_t>(route.data()) * 16384 +
                   static_cast<std::uint64_t>(m) * 1024 + static_cast<std::uint64_t>(status);
  auto& counter = counters_[key];
  if (counter == nullptr)
    counter = &registry_.counter("flux_http_requests_total", "HTTP requests answered.",
                                 {{"route", std::string(route)},
                                  {"method", std::string(kMethods[static_cast<std::size_t>(m)])},
                                  {"status", std::to_string(status)}});
  counter->add();
  auto& histogram = histograms_[route.data()];
  if (histogram == nullptr)
    histogram = &registry_.histogram("flux_http_request_duration_seconds",
                                     "Time from the whole request to the response's first byte.",
                                     latency_bounds(), {{"route", std::string(route)}});
  histogram->observe(std::chrono::duration<double>(took).count());
}

}  // namespace flux::runtime
