#pragma once
// A database of its own for each test of the PostgreSQL ledger, made and dropped
// through whatever the given URL leads to.

#include <libpq-fe.h>

#include <cstdlib>
#include <memory>
#include <regex>
#include <string>

#include "common/engines/distributed/postgres/postgres_engine.hpp"
#include "tests/contract/ledger_contract.hpp"

namespace flux::testing {

// Runs SQL on a connection of its own and returns the first value; throws when refused.
inline std::string ask_postgres(const std::string& url, const std::string& sql) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection{PQconnectdb(url.c_str()), &PQfinish};
  const std::unique_ptr<PGresult, decltype(&PQclear)> result{PQexec(connection.get(), sql.c_str()), &PQclear};
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    throw std::runtime_error(sql + ": " + PQerrorMessage(connection.get()));
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

inline std::string with_database(const std::string& url, const std::string& database) {
  return std::regex_replace(url, std::regex{"/[^/?]*(\\?.*)?$"}, "/" + database + "$1",
                            std::regex_constants::format_first_only);
}

class PostgresHouse final : public LedgerHouse {
 public:
  explicit PostgresHouse(const std::string& url)
      : server_(url), database_("flux_test_" + new_uuid().to_string()), url_(with_database(url, database_)) {
    ask_postgres(server_, "CREATE DATABASE \"" + database_ + "\"");
  }
  ~PostgresHouse() override {
    try {
      ask_postgres(server_, "DROP DATABASE \"" + database_ + "\" WITH (FORCE)");
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
  Result<std::unique_ptr<Ledger>> open() override { return postgres::open_ledger({.url = url_}); }
  const std::string& url() const { return url_; }

 private:
  std::string server_;
  std::string database_;
  std::string url_;
};

inline LedgerKind postgres_kind(const char* name, const char* variable, const char* server) {
  return {name, [=](std::string& why) -> std::unique_ptr<LedgerHouse> {
            const char* url = std::getenv(variable);
            if (url != nullptr) return std::make_unique<PostgresHouse>(url);
            why = std::string{variable} + " is not set; eval \"$(scripts/servers start " + server +
                  " | sed 's/^/export /')\"";
            return nullptr;
          }};
}

}  // namespace flux::testing
