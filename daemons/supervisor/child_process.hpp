#pragma once
// A child process that cannot outlive its parent unnoticed: when the supervisor
// dies, however it dies, the kernel sends the child SIGTERM and it drains.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"

namespace flux::supervisor {

// Starts `arguments` with stdout and stderr appended to `log_file`. Call it from
// the process's main thread only: the kernel ties the signal to that thread.
Result<pid_t> spawn_child(const std::vector<std::string>& arguments, const std::string& log_file);

// When the process started, in clock ticks since boot; tells a reused pid apart.
std::optional<std::uint64_t> process_start_ticks(pid_t pid);

struct ProcessUsage {
  double cpu_seconds = 0;
  std::uint64_t rss_bytes = 0;
};
std::optional<ProcessUsage> process_usage(pid_t pid);

}  // namespace flux::supervisor
