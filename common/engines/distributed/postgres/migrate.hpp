#pragma once
// Brings the schema up to date, one process at a time.

#include "common/engines/distributed/postgres/connection.hpp"

namespace flux::postgres {

Result<> migrate(Connection& connection, SteadyTime deadline);

}  // namespace flux::postgres
