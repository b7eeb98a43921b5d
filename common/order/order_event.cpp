#include "common/order/order_event.hpp"

#include <boost/json.hpp>

namespace flux {
namespace json = boost::json;

std::string encode_order_event(const Order& order) {
  // Ids are validated at the edge and need no escaping.
  std::string out;
  out.reserve(160 + order.product_id.size() + order.user_id.size());
  out += R"({"orderId":")";
  out += order.id.to_string();
  out += R"(","productId":")";
  out += order.product_id;
  out += R"(","bucket":)";
  out += std::to_string(order.bucket);
  out += R"(,"quantity":)";
  out += std::to_string(order.quantity);
  out += R"(,"userId":")";
  out += order.user_id;
  out += R"(","acceptedAt":)";
  out += std::to_string(unix_ms(order.accepted_at));
  out += '}';
  return out;
}

Result<Order> decode_order_event(std::string_view payload) {
  const auto bad = [](std::string_view why) {
    return Error{Errc::invalid_argument, "not an order event: " + std::string(why)};
  };
  boost::system::error_code ec;
  unsigned char memory[4096];
  json::static_resource resource{memory};
  json::parse_options options;
  options.max_depth = 2;
  json::value document;
  try {
    document = json::parse(
        payload, ec, payload.size() < 1024 ? json::storage_ptr{&resource} : json::storage_ptr{}, options);
  } catch (const std::exception&) {
    return bad("too large");
  }
  if (ec) return bad(ec.message());
  const auto* object = document.if_object();
  if (object == nullptr) return bad("not an object");

  Order order;
  bool has_bucket = false, has_quantity = false, has_time = false;
  const auto integer = [](const json::value& v, std::int64_t low, std::int64_t high, std::int64_t& out) {
    if (!v.is_int64() || v.get_int64() < low || v.get_int64() > high) return false;
    out = v.get_int64();
    return true;
  };
  const auto id = [](const json::value& v, std::string& out) {
    if (!v.is_string() || !is_valid_id(v.get_string())) return false;
    out = v.get_string();
    return true;
  };
  bool has_id = false;
  for (const auto& [key, value] : *object) {
    std::int64_t n = 0;
    if (key == "orderId") {
      if (!value.is_string()) return bad("orderId");
      auto parsed = Uuid::parse(value.get_string());
      if (!parsed) return bad("orderId");
      order.id = *parsed;
      has_id = true;
    } else if (key == "productId") {
      if (!id(value, order.product_id)) return bad("productId");
    } else if (key == "userId") {
      if (!id(value, order.user_id)) return bad("userId");
    } else if (key == "bucket") {
      if (!integer(value, 0, kMaxBuckets - 1, n)) return bad("bucket");
      order.bucket = static_cast<std::int32_t>(n);
      has_bucket = true;
    } else if (key == "quantity") {
      if (!integer(value, 1, kMaxQuantity, order.quantity)) return bad("quantity");
      has_quantity = true;
    } else if (key == "acceptedAt") {
      if (!integer(value, 0, 253402300799999, n)) return bad("acceptedAt");
      order.accepted_at = from_unix_ms(n);
      has_time = true;
    } else {
      return bad("unknown field");
    }
  }
  if (!has_id || order.product_id.empty() || order.user_id.empty() || !has_bucket || !has_quantity ||
      !has_time)
    return bad("a field is missing");
  return order;
}

}  // namespace flux
