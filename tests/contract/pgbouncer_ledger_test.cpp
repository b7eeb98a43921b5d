// The ledger contract through PgBouncer in transaction mode, where every
// transaction may meet another server connection.

#include "tests/contract/postgres_house.hpp"

namespace flux::testing {
namespace {

INSTANTIATE_TEST_SUITE_P(, LedgerContract,
                         ::testing::Values(postgres_kind("PgBouncer", "FLUX_PGBOUNCER_URL", "pgbouncer")),
                         kind_name);

}  // namespace
}  // namespace flux::testing
