#pragma once
// What happens between a POST /v1/orders and its 202: claim the idempotency key,
// reserve stock, append the event, remember the answer.

#include <string>

#include "daemons/api/api_state.hpp"

namespace flux::api {

Async<HttpResponse> place_order(ApiLoop& loop, HttpRequest& request, std::string client);

// How long an accepted order can be read before the ledger knows it.
inline constexpr Duration kAcceptedOrderTtl = std::chrono::hours{1};

// The tag under which an accepted order is cached: it says that the ledger must be
// asked whether the order is settled by now.
inline constexpr const char* kAcceptedTag = "accepted";

std::string order_cache_key(const Uuid& order_id);

}  // namespace flux::api
