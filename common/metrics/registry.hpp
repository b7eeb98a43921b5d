#pragma once
// Metrics of a process in the Prometheus text format. Counters, gauges and
// histograms are found once by name and labels, then updated without locks.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flux {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// All updates are wait-free and relaxed: a scrape sees each value, not one instant.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void set(double v) { value_.store(v, std::memory_order_relaxed); }
  void add(double v) { value_.fetch_add(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<double> value_{0};
};

// A counter whose value is kept by somebody else, e.g. the kernel.
class SampledCounter {
 public:
  void set(double v) { value_.store(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void observe(double v);

  const std::vector<double>& bounds() const { return bounds_; }
  // Not cumulative; the last one counts what is above every bound.
  std::vector<std::uint64_t> counts() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

// Upper bounds in seconds for the latency of requests: 0.5 ms to 10 s.
std::vector<double> latency_bounds();

// Thread-safe. Metrics live as long as the registry. Asking again for the same
// name and labels gives the same metric; the first help and bounds stay. Names
// and labels come from the code, never from requests, so their number is bounded.
class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();

  Counter& counter(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  SampledCounter& sampled_counter(std::string_view name, std::string_view help,
                                  const MetricLabels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                       const MetricLabels& labels = {});

  // Called before each exposition, to refresh gauges that are read from elsewhere.
  void before_exposition(std::function<void()> refresh);

  // Text format 0.0.4.
  std::string exposition();

 private:
  struct Family;
  template <class T, class... Args>
  T& find(std::string_view name, std::string_view help, const MetricLabels& labels, const Args&... args);

  std::mutex mutex_;
  std::vector<std::unique_ptr<Family>> families_;  // in order of registration
  std::vector<std::function<void()>> refreshers_;
};

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds,
// process_start_time_seconds, read when scraped.
void register_process_metrics(MetricsRegistry& registry);

}  // namespace flux
