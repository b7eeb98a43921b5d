#pragma once
// One batch of orders into PostgreSQL: COPY, the stock and the fenced offsets in
// one transaction.

#include <vector>

#include "common/engines/distributed/postgres/connection.hpp"
#include "common/ports/ledger.hpp"

namespace flux::postgres {

struct SettleBatch {
  const std::vector<OffsetRange>& ranges;
  const std::vector<Order>& orders;
  WallTime now;
};

Result<std::vector<SettledOrder>> settle_batch(Connection& connection, const SettleBatch& batch,
                                               SteadyTime deadline);

}  // namespace flux::postgres
