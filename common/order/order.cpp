#include "common/order/order.hpp"

#include <algorithm>

namespace flux {

std::string_view to_string(OrderStatus status) {
  switch (status) {
    case OrderStatus::accepted: return "accepted";
    case OrderStatus::confirmed: return "confirmed";
    case OrderStatus::rejected: return "rejected";
  }
  return "accepted";
}

Result<OrderStatus> parse_order_status(std::string_view text) {
  for (const auto status : {OrderStatus::accepted, OrderStatus::confirmed, OrderStatus::rejected})
    if (text == to_string(status)) return status;
  return Error{Errc::invalid_argument, "unknown order status '" + std::string(text) + "'"};
}

bool is_valid_id(std::string_view id) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !id.empty() && id.size() <= 128 && std::ranges::all_of(id, allowed) &&
         !std::ranges::all_of(id, [](char c) { return c == '.'; });
}

std::string order_event_key(std::string_view product_id, std::int32_t bucket, std::int32_t buckets) {
  std::string key(product_id);
  if (buckets > 1) key += ":" + std::to_string(bucket);
  return key;
}

}  // namespace flux
