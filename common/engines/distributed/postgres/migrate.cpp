#include "common/engines/distributed/postgres/migrate.hpp"

#include <array>
#include <charconv>

#include "common/engines/distributed/postgres/sql_error.hpp"
#include "common_engines_distributed_postgres_embedded.hpp"

namespace flux::postgres {
namespace {

// Migration i brings a database from version i to i + 1; written ones never change.
constexpr std::array kMigrations{ledger_0001_sql};
constexpr int kNewest = static_cast<int>(kMigrations.size());

// Runs a script to its end and returns the first value of its last result with rows.
Result<std::string> run_script(Connection& connection, const std::string& sql, SteadyTime deadline) {
  if (auto sent = connection.send_script(sql, deadline); !sent) return sent.error();
  std::string value;
  std::optional<Error> refused;
  for (;;) {
    auto result = connection.next(deadline);
    if (!result) return refused ? *refused : result.error();
    if (*result == nullptr) break;
    if ((*result)->status() == PGRES_FATAL_ERROR && !refused)
      refused = sql_error(connection.server(), (*result)->raw());
    if ((*result)->count() > 0) value = (*result)->text(0, 0);
  }
  if (refused) return *refused;
  return value;
}

// 0: there is no schema yet. `lock` comes first in the script.
Result<int> schema_version(Connection& connection, const std::string& lock, SteadyTime deadline) {
  // Read from the catalogue's rows: to_regclass() may answer from a cache that is
  // older than the lock.
  auto table = run_script(connection,
                          lock +
                              "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = 'flux' AND "
                              "tablename = 'schema_version'",
                          deadline);
  if (!table) return table.error();
  if (table->empty()) return 0;
  auto text = run_script(connection, "SELECT version FROM flux.schema_version", deadline);
  if (!text) return text.error();
  int version = 0;
  std::from_chars(text->data(), text->data() + text->size(), version);
  return version;
}

}  // namespace

Result<> migrate(Connection& connection, SteadyTime deadline) {
  // Without the lock first: usually there is nothing to do.
  auto version = schema_version(connection, "", deadline);
  if (!version) return version.error();
  if (*version < kNewest) {
    // A lock of the transaction, as a pooler gives the session to somebody else.
    version = schema_version(connection,
                             "BEGIN;" + Connection::local_timeouts(deadline) +
                                 "SELECT pg_advisory_xact_lock(7310597162457002844);",
                             deadline);
    if (!version) return version.error();
    std::string script;
    if (*version == 0)
      script =
          "CREATE SCHEMA IF NOT EXISTS flux;"
          "CREATE TABLE flux.schema_version (version integer NOT NULL);"
          "INSERT INTO flux.schema_version VALUES (0);";
    for (int i = *version; i < kNewest; ++i) script += kMigrations[static_cast<std::size_t>(i)];
    script +=
        "UPDATE flux.schema_version SET version = " + std::to_string(std::max(*version, kNewest)) + ";COMMIT";
    if (auto done = run_script(connection, script, deadline); !done) return done.error();
  }
  if (*version > kNewest)
    return Error{Errc::refused,
                 "the schema in PostgreSQL at " + connection.server() + " is of a newer flux (version " +
                     std::to_string(*version) + ", this one knows " + std::to_string(kNewest) + ")",
                 "run the newer flux"};
  return {};
}

}  // namespace flux::postgres
