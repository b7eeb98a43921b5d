#pragma once
// The Ledger on PostgreSQL, directly or through PgBouncer in transaction mode.

#include <memory>
#include <string>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/ports/ledger.hpp"

namespace flux::postgres {

struct PostgresOptions {
  std::string url;                             // postgresql://user:password@host:port/database
  std::vector<std::string> replicas{};         // URLs; asked first for orders
  std::size_t pool = 4;                        // connections to each of them
  Duration timeout = std::chrono::seconds{5};  // of one call, connecting included
};

// Connects and brings the schema up to date. `unavailable`, `unauthorized`,
// `forbidden` (may not create the schema), `refused` (schema of a newer flux).
Result<std::unique_ptr<Ledger>> open_ledger(const PostgresOptions& options);

}  // namespace flux::postgres
