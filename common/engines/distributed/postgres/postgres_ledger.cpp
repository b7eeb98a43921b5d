#include "common/engines/distributed/postgres/postgres_ledger.hpp"

#include <algorithm>

#include "common/engines/distributed/postgres/migrate.hpp"

namespace flux::postgres {
namespace {

// How long a replica that failed is left alone.
constexpr Duration kReplicaRest = std::chrono::seconds{5};

std::int64_t steady_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1};
}

}  // namespace

Result<std::unique_ptr<Ledger>> open_ledger(const PostgresOptions& options) {
  auto ledger = PostgresLedger::open(options);
  if (!ledger) return ledger.error();
  return std::unique_ptr<Ledger>{std::move(*ledger)};
}

Result<std::unique_ptr<PostgresLedger>> PostgresLedger::open(const PostgresOptions& options) {
  if (options.pool == 0) return Error{Errc::invalid_argument, "postgres.pool must be at least 1"};
  auto primary = Endpoint::parse(options.url, "postgres.url", options.timeout);
  if (!primary) return primary.error();
  std::unique_ptr<PostgresLedger> ledger{new PostgresLedger{std::move(*primary), options}};
  for (const std::string& url : options.replicas) {
    auto replica = Endpoint::parse(url, "an entry of postgres.replicas", options.timeout);
    if (!replica) return replica.error();
    ledger->replicas_.push_back(std::make_unique<Replica>(std::move(*replica), options.pool));
  }
  const SteadyTime deadline = ledger->deadline();
  auto connection = ledger->primary_.borrow(deadline);
  if (!connection) return connection.error();
  if (auto migrated = migrate(**connection, deadline); !migrated) return migrated.error();
  return ledger;
}

Result<std::vector<Rows>> PostgresLedger::run(const std::vector<Statement>& statements) {
  const SteadyTime by = deadline();
  auto connection = primary_.borrow(by);
  if (!connection) return connection.error();
  return (*connection)->run(statements, by);
}

Result<Rows> PostgresLedger::run(Statement statement) {
  auto results = run(std::vector<Statement>{std::move(statement)});
  if (!results) return results.error();
  return std::move(results->front());
}

std::optional<Rows> PostgresLedger::run_on_replica(const Statement& statement) {
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    Replica& replica = *replicas_[next_replica_++ % replicas_.size()];
    if (steady_ns() < replica.down_until_ns) continue;
    // The primary must still have time to answer after a replica that did not.
    const SteadyTime by = std::chrono::steady_clock::now() + timeout_ / 4;
    auto connection = replica.pool.borrow(by);
    if (connection) {
      auto results = (*connection)->run({statement}, by);
      if (results) return std::move(results->front());
    }
    replica.down_until_ns = steady_ns() + kReplicaRest.count();
  }
  return std::nullopt;
}

Result<> PostgresLedger::ping(Duration timeout) {
  const SteadyTime by = std::chrono::steady_clock::now() + std::min(timeout, timeout_);
  auto connection = primary_.borrow(by);
  if (!connection) return connection.error();
  auto answered = (*connection)->run({{"SELECT 1 FROM flux.schema_version"}}, by);
  if (!answered) return answered.error();
  return {};
}

Statement select_offset(const PartitionClaim& claim) {
  return {
      "SELECT epoch, next_offset FROM flux.offsets WHERE consumer_group = $1 AND topic = $2 AND partition = "
      "$3",
      Parameters{}.text(claim.group).text(claim.source.topic).int32(claim.source.partition)};
}

std::optional<PartitionOffset> offset_of(const Rows& rows) {
  if (rows.count() == 0) return std::nullopt;
  return PartitionOffset{rows.integer(0, 0), rows.integer(0, 1)};
}

Result<> explain_fence(const OffsetRange& range, const Rows& present) {
  const auto verdict = check_fence({range}, {offset_of(present)});
  if (!verdict) return verdict.error();
  if (*verdict == FenceVerdict::repeated) return {};
  return Error{Errc::unavailable, "another transaction was moving this offset", "", true};
}

}  // namespace flux::postgres
