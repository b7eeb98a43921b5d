// flux pool: do the services' connections fit the pooler and the database?

#include <cstdio>

#include "cli/commands/all_commands.hpp"
#include "cli/inspect/connection_budget.hpp"

namespace flux::cli {
namespace {

std::string side(const char* name, const inspect::BudgetSide& s) {
  char row[160];
  std::snprintf(row, sizeof row, "%-8s %8lld of %8lld  %5.0f%%  headroom %lld\n", name,
                static_cast<long long>(s.demand), static_cast<long long>(s.limit), 100 * s.used(),
                static_cast<long long>(s.headroom()));
  return row;
}

std::string peak(const char* name, const std::optional<inspect::PeakDemand>& p) {
  if (!p) return {};
  return std::string(name) + std::to_string(p->demand) + (p->fits ? " fits" : " does not fit") + " (" +
         p->service + ")\n";
}

std::string in_text(const inspect::ConnectionBudget& budget) {
  std::string text;
  char row[200];
  for (const auto& s : budget.by_service) {
    std::snprintf(row, sizeof row, "%-24.64s %4lld x %4lld = %6lld\n", s.service.c_str(),
                  static_cast<long long>(s.replicas), static_cast<long long>(s.pool),
                  static_cast<long long>(s.connections()));
    text += row;
  }
  if (budget.overhead > 0) {
    std::snprintf(row, sizeof row, "%-24s             = %6lld\n", "overhead",
                  static_cast<long long>(budget.overhead));
    text += row;
  }
  text += "\n";
  if (budget.pooled) text += side("client", budget.client);
  text += side("server", budget.server);
  text += peak("peak of a rolling release: ", budget.rolling);
  text += peak("peak of a blue-green release: ", budget.blue_green);
  text += "verdict: " + std::string(to_string(budget.verdict)) + ", binding: " + budget.binding + "\n";
  for (const auto& advice : budget.advice) text += "  - " + advice + "\n";
  return text;
}

Result<ExitCode> run(Context& context) {
  const auto config = context.config();
  if (!config) return config.error();
  const auto budget = inspect::connection_budget(**config);
  context.print(context.json() ? inspect::to_json(**config, budget) : in_text(budget));
  return budget.verdict == inspect::BudgetVerdict::exceeded ? ExitCode::threshold : ExitCode::done;
}

}  // namespace

void add_pool_command(CommandLine& line) {
  line.runs(line.root().add_subcommand("pool", "Database connections: what services ask for, what there is"),
            run,
            "  flux pool\n  flux --config flux.yaml pool -o json | jq .verdict\n"
            "\nClients: replicas x pool of each service, plus pgbouncer.overhead, against max_client_conn x "
            "instances.\n"
            "Servers: instances x pools x (default_pool_size + reserve_pool_size) against PostgreSQL's\n"
            "max_connections - reserved_connections. Without a pgbouncer section services count against "
            "PostgreSQL.\n");
}

}  // namespace flux::cli
