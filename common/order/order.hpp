#pragma once
// An order: what a client asks for and what became of it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/core/clock.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"

namespace flux {

enum class OrderStatus : std::uint8_t { accepted, confirmed, rejected };

std::string_view to_string(OrderStatus status);
Result<OrderStatus> parse_order_status(std::string_view text);

// The largest quantity of one order; keeps every sum of stock within 63 bits.
inline constexpr std::int64_t kMaxQuantity = 1'000'000;
inline constexpr std::int64_t kMaxStock = 1'000'000'000'000;
inline constexpr int kMaxBuckets = 256;

struct Order {
  Uuid id;
  std::string product_id;
  std::int32_t bucket = 0;  // which share of the product's stock it was reserved from
  std::int64_t quantity = 0;
  std::string user_id;
  OrderStatus status = OrderStatus::accepted;
  WallTime accepted_at{};
  std::optional<WallTime> settled_at{};
};

// Product and user ids travel in paths, keys and scripts: 1 to 128 characters
// of A-Z a-z 0-9 . _ - and not only dots. Everything else is refused at the edge.
bool is_valid_id(std::string_view id);

// The event key: events with one key stay in order. A product in several buckets
// spreads over partitions, so its bucket is part of the key.
std::string order_event_key(std::string_view product_id, std::int32_t bucket, std::int32_t buckets);

}  // namespace flux
