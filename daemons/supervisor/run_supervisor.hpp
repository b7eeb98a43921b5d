#pragma once
// Entry of the supervisor daemon: runs a whole stack until it is told to stop.

#include <functional>
#include <string>

#include "common/config/config.hpp"
#include "common/core/exit_code.hpp"
#include "common/core/result.hpp"
#include "daemons/supervisor/service_plan.hpp"

namespace flux::supervisor {

struct RunOptions {
  std::string data;
  StackOptions stack;
  Duration start_timeout = std::chrono::seconds{60};
  Duration stop_timeout = std::chrono::seconds{30};
  // Called once, when every replica is ready, with the status document.
  std::function<void(const std::string& status_json)> on_ready{};
};

// Returns when the stack is down: done after SIGINT, SIGTERM or `flux down`; an
// error when it never became ready (everything is stopped again by then).
Result<ExitCode> run_supervisor(const RunOptions& options);

// Where `flux status`, `down` and `scale` find the supervisor of a data directory.
std::string control_socket_path(const std::string& data);
std::string log_directory(const std::string& data);

}  // namespace flux::supervisor
