#pragma once
// The balancer daemon: an HTTP/1.1 reverse proxy in front of any upstreams.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/config/config.hpp"
#include "common/core/exit_code.hpp"
#include "common/core/result.hpp"

namespace flux::balancer {

// What the command line sets; anything not set comes from the configuration.
struct BalancerOptions {
  std::optional<std::string> listen{};
  std::optional<std::string> admin{};
  std::optional<std::string> algorithm{};
  std::optional<unsigned> threads{};
  std::vector<std::string>
      upstreams{};               // URL[,weight=N][,pool=NAME]; not empty: instead of the configured ones
  std::string upstreams_file{};  // watched; one upstream per line
  std::string address_file{};    // gets the bound address, and the admin's in its second line
  // Reads the configuration again, for SIGHUP.
  std::function<Result<Config>()> reload{};
};

// Runs until SIGTERM or SIGINT and returns when what was under way has ended.
Result<ExitCode> run_balancer(const Config& config, const BalancerOptions& options);

}  // namespace flux::balancer
