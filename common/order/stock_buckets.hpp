#pragma once
// A product's stock may be split into buckets, so that a hot product spreads
// over partitions and Redis slots. The arithmetic of the split is kept here,
// so that every state store counts alike.

#include <cstdint>
#include <string>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"

namespace flux {

struct StockBucket {
  std::int64_t available = 0;
  std::int64_t reserved = 0;
  std::int64_t confirmed = 0;
};

// The bucket an order tries first; then the following ones, round and round.
std::int32_t home_bucket(const Uuid& order_id, std::int32_t buckets);

// The available stock each bucket should have, so that the product has `stock`
// in all, spread evenly over the first `buckets` (later ones keep only what is
// used of them). `invalid_argument` when `stock` is below what is used.
Result<std::vector<std::int64_t>> spread_stock(const std::string& product_id,
                                               const std::vector<StockBucket>& present, std::int64_t stock,
                                               std::int32_t buckets);

Result<> check_product(const std::string& product_id, std::int64_t stock, std::int32_t buckets);
Result<> check_quantity(const std::string& product_id, std::int64_t quantity);

Error unknown_product(const std::string& product_id);
Error sold_out(const std::string& product_id, std::int64_t quantity);

}  // namespace flux
