#pragma once
// What the services of the configuration ask of the database's connections, and what
// the pooler and the database give. Pure arithmetic over the configuration.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/config/config.hpp"

namespace flux::inspect {

enum class BudgetVerdict {
  ok,
  tight,     // fits, but above 80 % of a limit, or a rolling release would not fit
  exceeded,  // more is asked than there is
};
std::string_view to_string(BudgetVerdict verdict);

struct ServiceConnections {
  std::string service;
  std::int64_t replicas = 0;
  std::int64_t pool = 0;  // of one replica
  std::int64_t connections() const { return replicas * pool; }
};

struct BudgetSide {
  std::int64_t demand = 0;
  std::int64_t limit = 0;
  std::int64_t headroom() const { return limit - demand; }
  double used() const;
};

// The demand while one service is released; the service for which it is highest.
struct PeakDemand {
  std::string service;
  std::int64_t demand = 0;
  bool fits = true;
};

struct ConnectionBudget {
  bool pooled = false;  // through PgBouncer; otherwise services connect to PostgreSQL itself
  BudgetSide client;    // services against the pooler, or PostgreSQL when there is none
  BudgetSide server;    // pooler against PostgreSQL; the same as client when there is none
  std::int64_t overhead = 0;
  std::vector<ServiceConnections> by_service;
  std::optional<PeakDemand> rolling;     // one replica more
  std::optional<PeakDemand> blue_green;  // twice the replicas
  BudgetVerdict verdict = BudgetVerdict::ok;
  std::string binding;  // "client" or "server": the side that is used most
  std::vector<std::string> advice;
};

// `replicas` replaces the configured number of replicas by service.
ConnectionBudget connection_budget(const Config& config,
                                   const std::map<std::string, std::int64_t>& replicas = {});

// The most replicas of `service` that the client side carries beside the others; none when
// the service needs no connection or is unknown.
std::optional<std::int64_t> most_replicas(const Config& config, const std::string& service);

std::string to_json(const Config& config, const ConnectionBudget& budget);

}  // namespace flux::inspect
