#include "common/order/stock_buckets.hpp"

#include <algorithm>

#include "common/order/order.hpp"

namespace flux {

std::int32_t home_bucket(const Uuid& order_id, std::int32_t buckets) {
  if (buckets <= 1) return 0;
  // The last eight bytes of an id are random, whatever the version.
  std::uint64_t hash = 0;
  for (std::size_t i = 8; i < order_id.bytes.size(); ++i) hash = hash << 8 | order_id.bytes[i];
  hash *= 0x9E3779B97F4A7C15ULL;
  return static_cast<std::int32_t>((hash >> 32) % static_cast<std::uint64_t>(buckets));
}

Result<std::vector<std::int64_t>> spread_stock(const std::string& product_id,
                                               const std::vector<StockBucket>& present, std::int64_t stock,
                                               std::int32_t buckets) {
  std::int64_t used = 0;
  for (const StockBucket& bucket : present) used += bucket.reserved + bucket.confirmed;
  if (stock < used) {
    return Error{Errc::invalid_argument,
                 "product " + product_id + ": stock " + std::to_string(stock) + " is below the " +
                     std::to_string(used) + " that are reserved and confirmed",
                 "set the stock to at least " + std::to_string(used)};
  }
  std::vector<std::int64_t> available(std::max(present.size(), static_cast<std::size_t>(buckets)), 0);
  const std::int64_t free = stock - used;
  for (std::int32_t i = 0; i < buckets; ++i) {
    available[static_cast<std::size_t>(i)] = free / buckets + (i < free % buckets ? 1 : 0);
  }
  return available;
}

Result<> check_product(const std::string& product_id, std::int64_t stock, std::int32_t buckets) {
  if (!is_valid_id(product_id)) {
    return Error{Errc::invalid_argument, "this is not a product id", "use 1 to 128 of A-Z a-z 0-9 . _ -"};
  }
  if (stock < 0 || stock > kMaxStock) {
    return Error{Errc::invalid_argument, "product " + product_id + ": stock must be 0 to " +
                                             std::to_string(kMaxStock) + ", not " + std::to_string(stock)};
  }
  if (buckets < 1 || buckets > kMaxBuckets) {
    return Error{Errc::invalid_argument, "product " + product_id + ": buckets must be 1 to " +
                                             std::to_string(kMaxBuckets) + ", not " +
                                             std::to_string(buckets)};
  }
  return {};
}

Result<> check_quantity(const std::string& product_id, std::int64_t quantity) {
  if (quantity >= 1 && quantity <= kMaxQuantity) return {};
  return Error{Errc::invalid_argument, "product " + product_id + ": quantity must be 1 to " +
                                           std::to_string(kMaxQuantity) + ", not " +
                                           std::to_string(quantity)};
}

Error unknown_product(const std::string& product_id) {
  return {Errc::not_found, "no product " + product_id, "create it with PUT /v1/products/" + product_id};
}

Error sold_out(const std::string& product_id, std::int64_t quantity) {
  return {Errc::sold_out, "product " + product_id + " has no " + std::to_string(quantity) + " left"};
}

}  // namespace flux
