#pragma once
// Keeps the replicas of every service running: starts them, probes them, starts
// crashed ones again with back-off, scales, drains, and tells the balancer who
// is there. Lives on one loop and one thread.

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "daemons/supervisor/replica.hpp"
#include "daemons/supervisor/run_directory.hpp"
#include "daemons/supervisor/service_plan.hpp"

namespace flux::supervisor {

struct SupervisorTimes {
  Duration tick = std::chrono::milliseconds{50};
  Duration probe_starting = std::chrono::milliseconds{100};
  Duration probe_ready = std::chrono::seconds{1};
  Duration probe_timeout = std::chrono::seconds{5};
  int failed_probes_until_kill = 12;                         // in a row without any answer: the process hangs
  Duration leave_rotation = std::chrono::milliseconds{300};  // for the balancer to see a changed list
  Duration drain = std::chrono::seconds{30};
};

class Supervisor {
 public:
  Supervisor(boost::asio::io_context& loop, RunDirectory& directory, std::vector<ServicePlan> plans,
             SupervisorTimes times = {});

  void start();
  // `not_found` for an unknown service, `invalid_argument` for a bad count.
  Result<> scale(const std::string& service, int replicas);
  // Drains everything, balancer first, within `timeout`; then `on_stopped` runs.
  // Asked again, the earlier deadline holds.
  void shut_down(Duration timeout);
  void child_exited(pid_t pid, int wait_status);

  bool all_ready() const;
  bool stopping() const { return stopping_; }
  bool stopped() const;
  // Set when a replica fails again and again before the stack was ever ready.
  const std::optional<Error>& start_failure() const { return start_failure_; }
  std::string url() const;  // of the balancer
  std::string status_json() const;

  std::function<void()> on_stopped{};

 private:
  struct Service {
    ServicePlan plan;
    int desired = 0;
    std::list<Replica> replicas{};
  };

  void tick();
  void add_replica(Service& service);
  void remove_replica(Service& service, Replica& replica, Duration drain);
  void start_process(Service& service, Replica& replica);
  void watch(Service& service, Replica& replica, SteadyTime now);
  void read_address(Replica& replica);
  void probe(Service& service, Replica& replica);
  void drain(Replica& replica, SteadyTime now);
  void drain_next_service();
  void write_upstreams();
  void record_replicas();
  void sample_usage(Replica& replica, SteadyTime now);
  Service* find(const std::string& name);
  Replica* find_replica(const std::string& id);

  boost::asio::io_context& loop_;
  RunDirectory& directory_;
  SupervisorTimes times_;
  std::vector<Service> services_;
  boost::asio::steady_timer timer_;
  std::string upstreams_written_ = "?";
  bool was_ready_ = false;
  bool stopping_ = false;
  SteadyTime stop_deadline_{};
  std::optional<Error> start_failure_;
};

}  // namespace flux::supervisor
