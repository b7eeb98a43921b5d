#include "daemons/api/order_routes.hpp"

#include "common/http/entity_tag.hpp"
#include "daemons/api/admit_request.hpp"
#include "daemons/api/cached_response.hpp"
#include "daemons/api/documents.hpp"
#include "daemons/api/place_order.hpp"

namespace flux::api {
namespace {

// Settled orders never change, so the cache may answer for them alone. An accepted
// one may have been settled since: then the ledger decides, and the accepted record
// stands only where the ledger does not know the order or cannot be asked.
Async<HttpResponse> read_order(ApiLoop& loop, CachedReads& reads, HttpRequest& request) {
  const auto id = Uuid::parse(request.params.at(0));
  if (!id) co_return refusal(request, 404, "not_found", "no such order");
  auto cached = co_await reads.peek(order_cache_key(*id), "order");
  if (cached && cached->tag != kAcceptedTag) co_return cached_response(request, *cached);

  const auto found =
      co_await loop.shared.on_ledger([id = *id](Ledger& ledger) { return ledger.find_order(id); });
  if (found && *found) {
    const auto body = order_document(**found);
    const auto tag = entity_tag_of(body);
    (void)co_await loop.on_store(
        loop.store->cache_put(order_cache_key(*id), tag + '\n' + body, std::chrono::hours{1}));
    co_return cached_response(request, {std::make_shared<const std::string>(body), tag, false});
  }
  if (cached) {
    cached->hit = !found;  // served without the ledger's word
    cached->tag = entity_tag_of(*cached->body);
    co_return cached_response(request, *cached);
  }
  if (!found) co_return failure(loop.shared, request, found.error());
  if (cached.error().code != Errc::not_found) co_return failure(loop.shared, request, cached.error());
  co_return refusal(request, 404, "not_found", "no order " + id->to_string());
}

}  // namespace

void add_order_routes(runtime::RouteTable& routes, ApiLoop& loop, CachedReads& reads) {
  routes.add("POST", "/v1/orders",
             admitted_with_json(loop, Scope::order, [&loop](HttpRequest& request, std::string client) {
               return place_order(loop, request, std::move(client));
             }));
  routes.add("GET", "/v1/orders/{id}",
             admitted(loop, Scope::read, [&loop, &reads](HttpRequest& request, const std::string&) {
               return read_order(loop, reads, request);
             }));
}

Async<bool> noticed_loss(ApiLoop& loop) {
  const auto restored = co_await loop.on_store(loop.store->is_restored());
  if (!restored || *restored) co_return false;
  loop.shared.restored = false;
  co_return true;
}

}  // namespace flux::api
