#pragma once
// What happened at one upstream, counted by each thread on its own cache lines
// and added up when somebody looks.

#include <array>
#include <atomic>
#include <cstdint>

namespace flux::balancer {

// Only its own thread adds; others read.
class ThreadCounter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Upper bounds in microseconds of the latency histogram; above the last: +Inf.
inline constexpr std::array<std::uint32_t, 14> kLatencyBoundsUs{
    250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

struct alignas(64) TrafficCounters {
  ThreadCounter requests;
  std::array<ThreadCounter, 6> by_class;  // index: status / 100
  ThreadCounter failures;                 // no (whole) answer
  ThreadCounter connects;
  ThreadCounter connect_failures;
  ThreadCounter retries;  // attempts that were not the first
  std::array<ThreadCounter, kLatencyBoundsUs.size() + 1> latency;
  ThreadCounter latency_sum_us;

  void record_latency(std::uint64_t us) {
    std::size_t i = 0;
    while (i < kLatencyBoundsUs.size() && us > kLatencyBoundsUs[i]) ++i;
    latency[i].add();
    latency_sum_us.add(us);
  }
};

}  // namespace flux::balancer
