#pragma once
// PostgreSQL's and PgBouncer's refusals as Errors that say what to do.

#include <libpq-fe.h>

#include <string>
#include <string_view>

#include "common/core/error.hpp"

namespace flux::postgres {

// `server` is host:port/database. `state` is the SQLSTATE, empty when the failure
// came without one (connecting, a broken connection).
Error sql_error(std::string_view server, std::string_view state, std::string_view message);
Error sql_error(std::string_view server, const PGresult* result);

// Of a result; empty when it has none.
std::string_view sql_state(const PGresult* result);
constexpr std::string_view kUniqueViolation = "23505";

}  // namespace flux::postgres
