#pragma once
// Where services run and how their number of replicas is changed.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/config/config.hpp"
#include "common/core/result.hpp"

namespace flux::orchestrator {

struct ServiceState {
  std::string name;
  std::int64_t desired = 0;
  std::int64_t ready = 0;
  std::int64_t running = 0;  // replicas that exist, in whatever state; those that drain included
};

// Calls block, at most a few seconds each. `not_found`: no such service, or
// nothing runs; `unavailable`: the orchestrator does not answer.
class Orchestrator {
 public:
  virtual ~Orchestrator() = default;
  virtual Result<std::vector<ServiceState>> list() = 0;
  // Asks for the change and returns; observe() says when it is done.
  virtual Result<> scale(const std::string& service, std::int64_t replicas) = 0;

  Result<ServiceState> observe(const std::string& service);
};

// The processes of `flux up`, through the supervisor's control socket.
std::unique_ptr<Orchestrator> open_local(const std::string& control_socket);

}  // namespace flux::orchestrator
