#pragma once
// What the rest of the system can carry, asked before a service is scaled. Pure:
// configuration and machine in, verdicts with their arithmetic out.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/config/config.hpp"

namespace flux::orchestrator {

struct Machine {
  std::int64_t cores = 1;
  std::uint64_t memory = 0;  // bytes in all; 0: unknown, not judged
};
Machine this_machine();

struct Guard {
  std::string name;  // max_replicas, connection_budget, partitions, memory, cores
  bool ok = true;
  std::int64_t limit = 0;
  std::int64_t need = 0;
  std::int64_t at_most = 0;  // replicas of this service that it would allow
  std::string detail;        // "97 server slots ÷ pool 10"
  std::string relax;         // the cheapest way to allow more
};

// `machine`: only where the replicas run on this one.
std::vector<Guard> check_guards(const Config& config, const ServiceConfig& service, std::int64_t replicas,
                                const std::optional<Machine>& machine);

// "api 5→12 refused, at most 9: 97 server slots ÷ pool 10", with how to relax it as the hint.
Error refusal(const std::string& service, std::int64_t from, std::int64_t to,
              const std::vector<Guard>& guards);

}  // namespace flux::orchestrator
