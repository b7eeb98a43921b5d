#pragma once
// The rule that confirms an order or rejects it, kept in one place for every
// ledger: stock is given out in the order of the log until it does not suffice.

#include <cstdint>

#include "common/order/order.hpp"

namespace flux {

struct StockLine {
  std::int64_t stock = 0;
  std::int64_t confirmed = 0;
};

// Confirms and counts the quantity when the stock suffices, else rejects and
// changes nothing. `line` is null for a product that the ledger does not know.
inline OrderStatus settle_order(StockLine* line, std::int64_t quantity) {
  if (line == nullptr || quantity <= 0 || quantity > line->stock - line->confirmed)
    return OrderStatus::rejected;
  line->confirmed += quantity;
  return OrderStatus::confirmed;
}

}  // namespace flux
