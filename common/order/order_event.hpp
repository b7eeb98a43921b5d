#pragma once
// The order as it travels in the event log (topic `orders`): a compact JSON
// document, so that `flux topics tail` and other programs can read it.

#include <string>
#include <string_view>

#include "common/order/order.hpp"

namespace flux {

std::string encode_order_event(const Order& order);

// Refuses anything that is not exactly an order event: wrong types, unknown or
// missing fields, values out of range. Never throws, whatever the bytes.
Result<Order> decode_order_event(std::string_view payload);

}  // namespace flux
