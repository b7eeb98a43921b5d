#include "daemons/api/place_order.hpp"

#include "common/core/log.hpp"
#include "common/order/order_event.hpp"
#include "daemons/api/documents.hpp"
#include "daemons/api/order_routes.hpp"
#include "daemons/api/request_bodies.hpp"
#include "daemons/api/together.hpp"

namespace flux::api {
namespace {

constexpr Duration kKeepAnswers = std::chrono::hours{24};
constexpr std::size_t kMaxKey = 255;

struct IdempotencyKey {
  std::string scope;
  std::string key;  // "": the client gave none
  bool given() const { return !key.empty(); }
};

HttpResponse accepted(std::string body, bool replayed) {
  HttpResponse response{.status = 202, .body = std::move(body)};
  if (replayed) response.add_header("Idempotent-Replay", "true");
  return response;
}

HttpResponse engines_away(ApiLoop& loop, const HttpRequest& request) {
  return failure(loop.shared, request, {Errc::unavailable, "an engine's circuit breaker is open"});
}

// Lets the next request with this key start afresh.
Async<Result<>> release(ApiLoop& loop, IdempotencyKey key, Uuid order_id) {
  if (!key.given()) co_return Result<>{};
  co_return co_await loop.on_store(loop.store->release_key(key.scope, key.key, order_id));
}

Async<Result<std::int64_t>> give_back(ApiLoop& loop, Reservation reservation) {
  std::vector<Settlement> settlements;
  settlements.push_back(
      {reservation.order_id, reservation.product_id, reservation.bucket, SettleOutcome::returned});
  co_return co_await loop.on_store(loop.store->settle(std::move(settlements)));
}

// The order's event is durable: whatever fails from here, the answer is 202. An
// answer that was not stored is found again through the key's lease and the ledger.
Async<HttpResponse> answer_accepted(ApiLoop& loop, IdempotencyKey key, Order order) {
  auto body = accepted_document(order.id);
  auto remember = loop.on_store(
      loop.store->cache_put(order_cache_key(order.id),
                            std::string(kAcceptedTag) + '\n' + order_document(order), kAcceptedOrderTtl));
  if (key.given()) {
    auto answer = loop.on_store(loop.store->answer_key(key.scope, key.key, body, kKeepAnswers));
    (void)co_await together(std::move(answer), std::move(remember));
  } else {
    (void)co_await std::move(remember);
  }
  loop.shared.orders_accepted.add();
  co_return accepted(std::move(body), false);
}

// A repeated attempt may have its event in the log already, from the first one.
enum class Attempt { first, repeated };

Async<HttpResponse> append_reserved(ApiLoop& loop, HttpRequest& request, IdempotencyKey key, Order order,
                                    Reservation reservation, Attempt attempt) {
  Record record{kOrdersTopic, order_event_key(order.product_id, reservation.bucket, reservation.buckets),
                encode_order_event(order)};
  record.headers.emplace_back("traceparent", request.trace.traceparent());
  record.headers.emplace_back("x-request-id", request.request_id);
  const auto appended = co_await guarded(loop.shared.breakers.event_log,
                                         loop.producer->append(std::move(record)), Probing::never);
  if (appended) co_return co_await answer_accepted(loop, std::move(key), std::move(order));

  const auto& error = appended.error();
  if (error.code == Errc::maybe_persisted || error.code == Errc::timed_out || attempt == Attempt::repeated) {
    // The order may be in the log. Its reservation waits for the reaper, and a
    // retry with the key goes on with the same order.
    log::warning("an order may or may not be in the log",
                 {{"order", order.id.to_string()}, {"why", error.message}});
    co_return failure(loop.shared, request, error);
  }
  (void)co_await together(give_back(loop, std::move(reservation)), release(loop, std::move(key), order.id));
  co_return failure(loop.shared, request,
                    error.code == Errc::not_found ? Error{Errc::unavailable, error.message} : error);
}

Async<HttpResponse> reserve_and_append(ApiLoop& loop, HttpRequest& request, IdempotencyKey key, Order order,
                                       Attempt attempt) {
  ReserveRequest wanted{order.id, order.product_id, order.quantity, order.accepted_at};
  const auto reservation = co_await loop.on_store(loop.store->reserve(std::move(wanted)));
  if (reservation) {
    order.bucket = reservation->bucket;
    co_return co_await append_reserved(loop, request, std::move(key), std::move(order), *reservation,
                                       attempt);
  }
  const auto error = reservation.error();
  // What timed out may have reserved; the same key goes on with the same order.
  if (error.code == Errc::timed_out) co_return failure(loop.shared, request, error);
  (void)co_await release(loop, std::move(key), order.id);
  if (error.code == Errc::sold_out)
    co_return refusal(request, 409, "sold_out",
                      "product " + order.product_id + " has not " + std::to_string(order.quantity) + " left");
  if (error.code == Errc::not_found) {
    if (co_await noticed_loss(loop)) co_return engines_away(loop, request);
    co_return refusal(request, 404, "not_found", "no product " + order.product_id);
  }
  co_return failure(loop.shared, request, error);
}

Async<Result<std::vector<SettledOrder>>> find_settled(ApiLoop& loop, const Uuid& id) {
  return loop.shared.on_ledger([id](Ledger& ledger) { return ledger.find_settled({id}); });
}

// A former owner of the key died on the way. Its order may be settled already, and
// then its reservation is gone and must not be made again.
Async<HttpResponse> go_on(ApiLoop& loop, HttpRequest& request, IdempotencyKey key, Order order) {
  const auto settled = co_await find_settled(loop, order.id);
  if (!settled) co_return failure(loop.shared, request, settled.error());
  if (settled->empty())
    co_return co_await reserve_and_append(loop, request, std::move(key), std::move(order), Attempt::repeated);
  auto body = accepted_document(order.id);
  (void)co_await loop.on_store(loop.store->answer_key(key.scope, key.key, body, kKeepAnswers));
  co_return accepted(std::move(body), false);
}

Async<HttpResponse> with_key(ApiLoop& loop, HttpRequest& request, IdempotencyKey key, Order order) {
  ClaimRequest claim{key.scope, key.key,
                     order.product_id + ':' + std::to_string(order.quantity) + ':' + order.user_id, order.id,
                     order.accepted_at};
  const auto claimed = co_await loop.on_store(loop.store->claim_key(std::move(claim)));
  if (!claimed) co_return failure(loop.shared, request, claimed.error());
  switch (claimed->state) {
    case KeyClaim::State::fresh:
      co_return co_await reserve_and_append(loop, request, std::move(key), std::move(order), Attempt::first);
    case KeyClaim::State::taken_over:
      order.id = claimed->order_id;
      co_return co_await go_on(loop, request, std::move(key), std::move(order));
    case KeyClaim::State::answered: co_return accepted(claimed->answer, true);
    case KeyClaim::State::pending: {
      auto response = refusal(request, 409, "in_progress", "a request with this Idempotency-Key is under way",
                              "retry after the time in Retry-After");
      response.add_header("Retry-After", "1");
      co_return response;
    }
    case KeyClaim::State::mismatch:
      co_return refusal(request, 422, "key_reused", "this Idempotency-Key was used with another body",
                        "use a new key for a new order");
  }
  co_return failure(loop.shared, request, {Errc::internal, "unknown state of a key"});
}

bool is_valid_key(std::string_view key) {
  if (key.empty() || key.size() > kMaxKey) return false;
  for (const char c : key)
    if (c < 0x21 || c > 0x7e) return false;
  return true;
}

// Everything but the plainest characters as %XX, so that a key means the same in
// every store, whatever a store finds special.
std::string plain(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[c & 0xf];
    }
  }
  return out;
}

bool has_header(const HttpRequest& request, std::string_view name) {
  for (const auto& field : request.headers)
    if (runtime::equals_ignoring_case(field.first, name)) return true;
  return false;
}

}  // namespace

std::string order_cache_key(const Uuid& order_id) {
  return "order:" + order_id.to_string();
}

Async<HttpResponse> place_order(ApiLoop& loop, HttpRequest& request, std::string client) {
  auto& shared = loop.shared;
  auto body = parse_order_request(request.body);
  if (!body) co_return failure(shared, request, body.error());
  IdempotencyKey key;
  if (has_header(request, "idempotency-key")) {
    const auto given = request.header("idempotency-key");
    if (!is_valid_key(given))
      co_return refusal(request, 400, "invalid_argument",
                        "Idempotency-Key must be 1 to 255 visible ASCII characters");
    // Clients without a token share one scope: their address may change between retries.
    key = {client.starts_with("token:") ? plain(client) : "anyone", plain(given)};
  }
  if (!shared.restored) co_return engines_away(loop, request);
  if (shared.breakers.event_log.state() != CircuitBreaker::State::closed)
    co_return engines_away(loop, request);

  Order order;
  order.id = new_uuid(shared.clock);
  order.product_id = std::move(body->product_id);
  order.user_id = std::move(body->user_id);
  order.quantity = body->quantity;
  order.accepted_at = from_unix_ms(unix_ms(shared.clock.wall()));
  if (key.given()) co_return co_await with_key(loop, request, std::move(key), std::move(order));
  co_return co_await reserve_and_append(loop, request, std::move(key), std::move(order), Attempt::first);
}

}  // namespace flux::api
