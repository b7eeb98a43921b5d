#pragma once
// One replica of a service: its process, its state, and what a status shows.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/core/clock.hpp"
#include "daemons/supervisor/restart_backoff.hpp"

namespace flux::supervisor {

enum class ReplicaState { starting, ready, draining, backoff, stopped };

std::string_view to_string(ReplicaState state);

struct Replica {
  int number = 0;
  std::string id;  // "api-2"
  ReplicaState state = ReplicaState::stopped;
  pid_t pid = 0;  // 0: no process
  std::uint64_t start_ticks = 0;
  std::string address{};  // host:port, once it listens
  std::string admin_address{};
  int restarts = 0;
  RestartBackoff backoff{};
  SteadyTime started{};
  SteadyTime next_start{};  // in backoff
  SteadyTime next_probe{};
  int failed_probes = 0;  // in a row, since it was last alive
  bool probing = false;
  bool in_rotation = false;   // behind the balancer: was ready and has not left since
  SteadyTime terminate_at{};  // draining: SIGTERM then
  bool terminated = false;    // SIGTERM was sent
  SteadyTime kill_at{};       // draining: SIGKILL then
  double cpu_seconds = 0;     // at the last sample
  SteadyTime sampled{};
  double cpu_percent = 0;
  std::uint64_t rss_bytes = 0;

  bool runs() const { return pid != 0; }
};

}  // namespace flux::supervisor
