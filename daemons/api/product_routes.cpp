#include "daemons/api/product_routes.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "daemons/api/admit_request.hpp"
#include "daemons/api/documents.hpp"
#include "daemons/api/order_routes.hpp"
#include "daemons/api/request_bodies.hpp"

namespace flux::api {
namespace {

Error below_use(const std::string& product_id) {
  return {Errc::conflict,
          "the stock of " + product_id + " cannot be less than what is reserved and confirmed"};
}

Async<Result<>> write_ledger(ApiLoop& loop, LedgerProduct product) {
  return loop.shared.on_ledger(
      [product = std::move(product)](Ledger& ledger) { return ledger.put_product(product); });
}

Async<Result<LedgerProduct>> read_ledger(ApiLoop& loop, std::string id) {
  return loop.shared.on_ledger([id = std::move(id)](Ledger& ledger) { return ledger.get_product(id); });
}

Async<Result<>> set_ledger(ApiLoop& loop, LedgerProduct product) {
  auto set = co_await write_ledger(loop, product);
  if (!set && set.error().code == Errc::invalid_argument) co_return below_use(product.product_id);
  co_return set;
}

Async<Result<ProductStock>> set_store(ApiLoop& loop, LedgerProduct product) {
  auto set =
      co_await loop.on_store(loop.store->put_product(product.product_id, product.stock, product.buckets));
  if (!set && set.error().code == Errc::invalid_argument) co_return below_use(product.product_id);
  co_return set;
}

// More stock: the ledger first, so that it never has less than what the store gives
// out. Less stock: the store first, for the same reason; it also knows whether the
// stock is in use. What fails half-way is mended by repeating the request.
Async<Result<ProductStock>> set_both(ApiLoop& loop, LedgerProduct product) {
  const auto present = co_await read_ledger(loop, product.product_id);
  if (!present && present.error().code != Errc::not_found) co_return present.error();
  const bool less = present && product.stock < present->stock;
  if (!less) {
    const auto set = co_await set_ledger(loop, product);
    if (!set) co_return set.error();
    co_return co_await set_store(loop, product);
  }
  auto stock = co_await set_store(loop, product);
  if (!stock) co_return stock;
  const auto set = co_await set_ledger(loop, product);
  if (!set) co_return set.error();
  co_return stock;
}

// Two changes of one product at once could leave the ledger with one and the store
// with the other, so they take turns, whichever instances they are on.
Async<Result<ProductStock>> set_in_turn(ApiLoop& loop, LedgerProduct product) {
  const std::string name = "product:" + product.product_id;
  const std::string owner = new_uuid(loop.shared.clock).to_string();
  std::optional<Lease> lease;
  for (int i = 0; i < 100 && !lease; ++i) {
    auto taken = co_await loop.on_store(loop.store->acquire_lease(name, owner, std::chrono::seconds{15}));
    if (!taken) co_return taken.error();
    lease = std::move(*taken);
    if (lease) break;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, std::chrono::milliseconds{20});
    co_await timer.async_wait(boost::asio::use_awaitable);
  }
  if (!lease) co_return Error{Errc::unavailable, "another change of the product takes too long", "", true};
  auto stock = co_await set_both(loop, std::move(product));
  (void)co_await loop.on_store(loop.store->release_lease(*lease));
  co_return stock;
}

Async<HttpResponse> put_product(ApiLoop& loop, HttpRequest& request) {
  const std::string& id = request.params.at(0);
  if (!is_valid_id(id))
    co_return refusal(request, 400, "invalid_argument",
                      "a product id is 1 to 128 characters of A-Z a-z 0-9 . _ - and not only dots");
  auto product = parse_product_request(request.body);
  if (!product) co_return failure(loop.shared, request, product.error());
  if (!loop.shared.restored)
    co_return failure(loop.shared, request, {Errc::unavailable, "the state store is not restored"});
  product->product_id = id;
  const auto stock = co_await set_in_turn(loop, *product);
  if (!stock) co_return failure(loop.shared, request, stock.error());
  co_return HttpResponse{.body = product_document(*stock)};
}

Async<HttpResponse> get_product(ApiLoop& loop, HttpRequest& request) {
  const std::string& id = request.params.at(0);
  if (!is_valid_id(id)) co_return refusal(request, 404, "not_found", "no such product");
  const auto stock = co_await loop.on_store(loop.store->get_product(id));
  if (stock) co_return HttpResponse{.body = product_document(*stock)};
  if (stock.error().code == Errc::not_found) {
    if (!loop.shared.restored || co_await noticed_loss(loop))
      co_return failure(loop.shared, request, {Errc::unavailable, "the state store is not restored"});
    co_return refusal(request, 404, "not_found", "no product " + id);
  }
  co_return failure(loop.shared, request, stock.error());
}

}  // namespace

void add_product_routes(runtime::RouteTable& routes, ApiLoop& loop) {
  routes.add("GET", "/v1/products/{id}",
             admitted(loop, Scope::read, [&loop](HttpRequest& request, const std::string&) {
               return get_product(loop, request);
             }));
  routes.add("PUT", "/v1/products/{id}",
             admitted_with_json(loop, Scope::admin, [&loop](HttpRequest& request, const std::string&) {
               return put_product(loop, request);
             }));
}

}  // namespace flux::api
