#pragma once
// One server behind the balancer, as all threads see it: how much it has to do,
// whether it may be given more, and what happened to it. Lives until the last
// request that uses it has ended, also after it was removed.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemons/balancer/choose_upstream.hpp"
#include "daemons/balancer/outlier_ejection.hpp"
#include "daemons/balancer/sockets.hpp"
#include "daemons/balancer/traffic_counters.hpp"
#include "daemons/balancer/upstream_spec.hpp"

namespace flux::balancer {

class Upstream {
 public:
  Upstream(UpstreamSpec spec, SocketAddress address, unsigned threads, EjectionPolicy policy);

  const std::string id;
  const std::string pool;
  const SocketAddress address;
  const std::uint64_t identity;

  std::atomic<std::uint32_t> weight;
  std::atomic<bool> draining{false};
  std::atomic<bool> probed_down{false};
  // Steady nanoseconds since when it is slowly given more; 0: not at all.
  std::atomic<std::int64_t> slow_start_since{0};
  // Steady nanoseconds of the last byte it answered, and the peak EWMA of its answer times.
  std::atomic<std::int64_t> last_answer{0};
  std::atomic<double> ewma_ns{0};

  // Requests under way, exact over all threads; alone on its cache line.
  alignas(64) std::atomic<std::int32_t> active{0};
  alignas(64) std::vector<TrafficCounters> counters;  // one per thread

  // May it be given a request now? `trial`: this request, and no other, tries it out.
  enum class Admission : std::uint8_t { yes, no, trial };
  Admission admission(std::int64_t now_ns, bool may_try) {
    return calm_.load(std::memory_order_acquire) ? Admission::yes : admission_slowly(now_ns, may_try);
  }
  bool ejected(std::int64_t now_ns) const;
  void on_success(std::int64_t now_ns) {
    if (!calm_.load(std::memory_order_relaxed)) on_success_slowly(now_ns);
  }
  // True: it was ejected by this one.
  bool on_failure(std::int64_t now_ns, FailureKind kind, double random);
  void on_probes_passed(std::int64_t now_ns, bool failed_before);
  void on_healthy_sweep();
  // Something went wrong lately; it is worth a probe out of turn.
  bool suspicious() const { return !calm_.load(std::memory_order_relaxed); }

  struct Ejections {
    OutlierEjection::State state;
    std::uint32_t failures;
    std::uint32_t times;
    std::uint64_t total;
  };
  Ejections ejections() const;

 private:
  Admission admission_slowly(std::int64_t now_ns, bool may_try);
  void on_success_slowly(std::int64_t now_ns);
  void update_calm();

  std::atomic<bool> calm_{true};  // closed, and no failure since the last success
  mutable std::mutex mutex_;      // taken only when something is wrong
  OutlierEjection ejection_;
  std::uint64_t ejections_total_ = 0;
};

struct PoolSpec {
  std::string name;
  std::uint32_t weight = 1;  // its share where several pools serve a route
};

struct Route {
  std::string prefix;              // of the path
  std::vector<std::string> pools;  // shared by their weights
};

// What the threads work from; replaced as a whole when anything changes.
struct Topology {
  std::uint64_t version = 0;
  std::vector<std::shared_ptr<Upstream>> upstreams;
  std::map<std::string, PoolSpec> pools;
  std::vector<Route> routes;  // longest prefix first; the last one is "/"
};

}  // namespace flux::balancer
