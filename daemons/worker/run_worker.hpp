#pragma once
// Entry of the worker daemon: N consumers of one group in one process.

#include <string>

#include "common/config/config.hpp"
#include "common/core/exit_code.hpp"
#include "common/core/result.hpp"

namespace flux::worker {

struct WorkerOptions {
  std::string group;  // inventory or workflows
  int consumers = 1;
  std::string listen = "127.0.0.1:0";  // /health, /ready, /metrics
  std::string address_file{};          // told where it listens; "" : nobody
  std::string name = "worker";         // in logs and as the group member's name
};

// Runs until SIGTERM or SIGINT, then finishes what is in hand, leaves the group
// and returns done.
Result<ExitCode> run_worker(const Config& config, const WorkerOptions& options);

}  // namespace flux::worker
