#include "cli/inspect/connection_budget.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

namespace flux::inspect {
namespace {

constexpr double kTight = 0.8;  // the trigger table's bound for database connections

bool is_listed(const Config& config, const std::string& service) {
  const std::string key = "services." + service;
  const auto inner = config.lines.lower_bound(key + ".");
  return config.lines.contains(key) || (inner != config.lines.end() && inner->first.starts_with(key + "."));
}

// The services that share the connections. Once a configuration lists services, the standard
// ones beside them count only where they do use the database.
std::vector<const ServiceConfig*> counted_services(const Config& config) {
  const bool any_listed =
      std::ranges::any_of(config.services, [&](const auto& entry) { return is_listed(config, entry.first); });
  std::vector<const ServiceConfig*> services;
  for (const auto& [name, service] : config.services)
    if (service.pool > 0 &&
        (!any_listed || is_listed(config, name) || config.engines.ledger == LedgerEngine::postgres))
      services.push_back(&service);
  return services;
}

std::string count(std::int64_t n) {
  return std::to_string(n);
}

PeakDemand highest(const ConnectionBudget& budget, std::int64_t (*extra)(const ServiceConnections&)) {
  PeakDemand peak;
  for (const auto& service : budget.by_service)
    if (const auto demand = budget.client.demand + extra(service); demand > peak.demand)
      peak = {service.service, demand, demand <= budget.client.limit};
  return peak;
}

void advise_client(const Config& config, ConnectionBudget& budget) {
  const auto missing = -budget.client.headroom();
  const std::string key = budget.pooled ? "pgbouncer.max_client_conn" : "postgres.max_connections";
  const std::int64_t instances = budget.pooled ? std::max<std::int64_t>(1, config.pgbouncer->instances) : 1;
  const std::int64_t now =
      budget.pooled ? config.pgbouncer->max_client_conn : config.postgres.max_connections;
  if (missing > 0) {
    const auto enough = now + (missing + instances - 1) / instances;
    budget.advice.push_back("raise " + key + " from " + count(now) + " to at least " + count(enough) + " (" +
                            config.origin_of(key) + ")");
    if (!budget.pooled)
      budget.advice.push_back(
          "or put PgBouncer in front (section pgbouncer), so that replicas share connections");
  }
  const auto largest = std::ranges::max_element(budget.by_service, {}, &ServiceConnections::connections);
  if (largest == budget.by_service.end()) return;
  const auto rest = budget.client.limit - (budget.client.demand - largest->connections());
  if (missing > 0 && rest >= largest->replicas && largest->replicas > 0)
    budget.advice.push_back("or lower services." + largest->service + ".pool from " + count(largest->pool) +
                            " to " + count(rest / largest->replicas));
  else if (missing > 0 && rest >= largest->pool)
    budget.advice.push_back("or run at most " + count(rest / largest->pool) + " replicas of " +
                            largest->service);
  if (missing <= 0 && budget.client.used() > kTight)
    budget.advice.push_back("services use " + count(budget.client.demand) + " of " +
                            count(budget.client.limit) + " connections: leave a fifth free, or raise " + key);
  if (missing <= 0 && budget.rolling && !budget.rolling->fits)
    budget.advice.push_back("a rolling release of " + budget.rolling->service + " needs " +
                            count(budget.rolling->demand) + " connections for a while, " +
                            count(budget.rolling->demand - budget.client.limit) + " more than there are");
}

void advise_server(const Config& config, ConnectionBudget& budget) {
  if (!budget.pooled) return;
  const auto missing = -budget.server.headroom();
  if (missing > 0) {
    budget.advice.push_back("raise postgres.max_connections from " + count(config.postgres.max_connections) +
                            " to at least " + count(config.postgres.max_connections + missing) + " (" +
                            config.origin_of("postgres.max_connections") + ")");
    const auto& pooler = *config.pgbouncer;
    const auto pools = std::max<std::int64_t>(1, pooler.instances * pooler.pools);
    if (const auto size = budget.server.limit / pools - pooler.reserve_pool_size; size > 0)
      budget.advice.push_back("or lower pgbouncer.default_pool_size from " + count(pooler.default_pool_size) +
                              " to " + count(size));
  } else if (budget.server.used() > kTight) {
    budget.advice.push_back(
        "the pooler may open " + count(budget.server.demand) + " of " + count(budget.server.limit) +
        " server connections: cancel requests can push a pool beyond its size, leave some free");
  }
}

}  // namespace

std::string_view to_string(BudgetVerdict verdict) {
  switch (verdict) {
    case BudgetVerdict::ok: return "ok";
    case BudgetVerdict::tight: return "tight";
    case BudgetVerdict::exceeded: return "exceeded";
  }
  return "ok";
}

double BudgetSide::used() const {
  if (demand <= 0) return 0;
  return limit > 0 ? static_cast<double>(demand) / static_cast<double>(limit) : HUGE_VAL;
}

ConnectionBudget connection_budget(const Config& config,
                                   const std::map<std::string, std::int64_t>& replicas) {
  ConnectionBudget budget;
  budget.pooled = config.pgbouncer.has_value();
  for (const ServiceConfig* service : counted_services(config)) {
    const auto other = replicas.find(service->name);
    budget.by_service.push_back(
        {service->name, other == replicas.end() ? service->replicas : other->second, service->pool});
    budget.client.demand += budget.by_service.back().connections();
  }
  const auto usable = config.postgres.max_connections - config.postgres.reserved_connections;
  if (budget.pooled) {
    const auto& pooler = *config.pgbouncer;
    budget.overhead = pooler.overhead;
    budget.client.demand += pooler.overhead;
    budget.client.limit = pooler.max_client_conn * pooler.instances;
    budget.server = {pooler.instances * pooler.pools * (pooler.default_pool_size + pooler.reserve_pool_size),
                     usable};
  } else {
    budget.client.limit = usable;
    budget.server = budget.client;
  }
  if (!budget.by_service.empty()) {
    budget.rolling = highest(budget, [](const ServiceConnections& s) { return s.pool; });
    budget.blue_green = highest(budget, [](const ServiceConnections& s) { return s.connections(); });
  }
  budget.binding = budget.pooled && budget.client.used() >= budget.server.used() ? "client" : "server";
  const double used = std::max(budget.client.used(), budget.server.used());
  if (used > 1)
    budget.verdict = BudgetVerdict::exceeded;
  else if (used > kTight || (budget.rolling && !budget.rolling->fits))
    budget.verdict = BudgetVerdict::tight;
  advise_client(config, budget);
  advise_server(config, budget);
  return budget;
}

std::optional<std::int64_t> most_replicas(const Config& config, const std::string& service) {
  const auto budget = connection_budget(config);
  for (const auto& s : budget.by_service)
    if (s.service == service)
      return std::max<std::int64_t>(0, (budget.client.headroom() + s.connections()) / s.pool);
  return std::nullopt;
}

std::string to_json(const Config& config, const ConnectionBudget& budget) {
  namespace json = boost::json;
  json::array services;
  for (const auto& s : budget.by_service)
    services.push_back({{"service", s.service},
                        {"replicas", s.replicas},
                        {"pool", s.pool},
                        {"connections", s.connections()}});
  json::array pools;
  if (budget.pooled)
    pools.push_back({{"instances", config.pgbouncer->instances},
                     {"pools", config.pgbouncer->pools},
                     {"default_pool_size", config.pgbouncer->default_pool_size},
                     {"reserve_pool_size", config.pgbouncer->reserve_pool_size},
                     {"connections", budget.server.demand}});
  const auto side = [](const BudgetSide& s) {
    return json::object{{"demand", s.demand}, {"limit", s.limit}, {"headroom", s.headroom()}};
  };
  const auto peak = [](const std::optional<PeakDemand>& p) {
    return p ? json::value{{"service", p->service}, {"demand", p->demand}, {"fits", p->fits}} : json::value();
  };
  json::object client = side(budget.client);
  client["overhead"] = budget.overhead;
  client["by_service"] = std::move(services);
  json::object server = side(budget.server);
  server["pools"] = std::move(pools);
  json::array advice;
  for (const auto& line : budget.advice) advice.emplace_back(line);
  return json::serialize(
      json::object{{"client", std::move(client)},
                   {"server", std::move(server)},
                   {"peak", {{"rolling", peak(budget.rolling)}, {"blue_green", peak(budget.blue_green)}}},
                   {"verdict", to_string(budget.verdict)},
                   {"binding", budget.binding},
                   {"advice", std::move(advice)}});
}

}  // namespace flux::inspect
