#include "cli/orchestrator/scale_guards.hpp"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "cli/inspect/connection_budget.hpp"
#include "common/core/units.hpp"

namespace flux::orchestrator {
namespace {

constexpr std::int64_t kProcessesPerCore = 16;
constexpr double kUsableMemory = 0.8;

Guard make_guard(std::string name, std::int64_t need, std::int64_t limit, std::int64_t at_most,
                 std::string detail, std::string relax) {
  return {std::move(name),   need <= limit,   limit, need, std::max<std::int64_t>(0, at_most),
          std::move(detail), std::move(relax)};
}

// The budget speaks about PostgreSQL: it is judged where one is configured.
bool uses_postgres(const Config& config) {
  return config.engines.ledger == LedgerEngine::postgres || config.pgbouncer ||
         std::ranges::any_of(config.lines,
                             [](const auto& line) { return line.first.starts_with("postgres"); });
}

Guard connection_guard(const Config& config, const ServiceConfig& service, std::int64_t replicas) {
  const auto budget = inspect::connection_budget(config, {{service.name, replicas}});
  const std::int64_t own = replicas * service.pool;
  const std::int64_t others = budget.client.demand - own;
  const std::string slots =
      std::to_string(budget.client.limit) + (budget.pooled ? " client slots" : " server slots");
  const std::string left =
      others > 0 ? "(" + slots + " − " + std::to_string(others) + " of the others)" : slots;
  return make_guard(
      "connection_budget", budget.client.demand, budget.client.limit,
      (budget.client.limit - others) / service.pool, left + " ÷ pool " + std::to_string(service.pool),
      budget.pooled ? "lower services." + service.name + ".pool or raise pgbouncer.max_client_conn"
                    : "lower services." + service.name + ".pool, or put PgBouncer in front (pgbouncer:)");
}

}  // namespace

Machine this_machine() {
  const auto pages = ::sysconf(_SC_PHYS_PAGES);
  const auto page = ::sysconf(_SC_PAGESIZE);
  return {std::max<std::int64_t>(1, std::thread::hardware_concurrency()),
          pages > 0 && page > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page) : 0};
}

std::vector<Guard> check_guards(const Config& config, const ServiceConfig& service, std::int64_t replicas,
                                const std::optional<Machine>& machine) {
  std::vector<Guard> guards;
  guards.push_back(
      make_guard("max_replicas", replicas, service.max_replicas, service.max_replicas,
                 "services." + service.name + ".max_replicas is " + std::to_string(service.max_replicas),
                 "raise services." + service.name + ".max_replicas"));
  if (service.pool > 0 && uses_postgres(config))
    guards.push_back(connection_guard(config, service, replicas));
  if (service.kind == ServiceKind::worker && !service.topic.empty()) {
    const auto topic = config.kafka.topics.find(service.topic);
    const std::int64_t partitions =
        topic == config.kafka.topics.end() ? TopicConfig{}.partitions : topic->second.partitions;
    guards.push_back(make_guard("partitions", replicas, partitions, partitions,
                                "topic " + service.topic + " has " + std::to_string(partitions) +
                                    " partitions; a worker more would be idle",
                                "add partitions: flux topics expand " + service.topic));
  }
  if (machine) {
    std::int64_t other_processes = 0;
    std::uint64_t other_memory = 0;
    for (const auto& [name, other] : config.services) {
      if (name == service.name || other.kind == ServiceKind::external) continue;
      other_processes += other.replicas;
      other_memory += static_cast<std::uint64_t>(other.replicas) * other.memory;
    }
    const std::int64_t processes = machine->cores * kProcessesPerCore;
    guards.push_back(make_guard("cores", other_processes + replicas, processes, processes - other_processes,
                                std::to_string(machine->cores) + " cores × " +
                                    std::to_string(kProcessesPerCore) + " processes − " +
                                    std::to_string(other_processes) + " of the others",
                                "use a larger machine, or another orchestrator (--on)"));
    if (machine->memory > 0 && service.memory > 0) {
      const auto usable = static_cast<std::uint64_t>(static_cast<double>(machine->memory) * kUsableMemory);
      const std::uint64_t left = usable > other_memory ? usable - other_memory : 0;
      guards.push_back(make_guard(
          "memory",
          static_cast<std::int64_t>(other_memory + static_cast<std::uint64_t>(replicas) * service.memory),
          static_cast<std::int64_t>(usable), static_cast<std::int64_t>(left / service.memory),
          format_size(left) + " of memory left ÷ " + format_size(service.memory) + " a replica",
          "lower services." + service.name + ".memory to what a replica really takes ('flux status')"));
    }
  }
  return guards;
}

Error refusal(const std::string& service, std::int64_t from, std::int64_t to,
              const std::vector<Guard>& guards) {
  const Guard* binding = nullptr;
  for (const Guard& guard : guards)
    if (!guard.ok && (binding == nullptr || guard.at_most < binding->at_most)) binding = &guard;
  if (binding == nullptr) return {Errc::internal, "no guard refused"};
  return {Errc::refused,
          service + " " + std::to_string(from) + "→" + std::to_string(to) + " refused, at most " +
              std::to_string(binding->at_most) + ": " + binding->detail,
          binding->relax + "; --force overrides"};
}

}  // namespace flux::orchestrator
