#include "daemons/api/engine_watch.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/core/log.hpp"
#include "daemons/api/order_routes.hpp"

namespace flux::api {
namespace {

constexpr const char* kRestoreLease = "restore-state";
constexpr const char* kInventoryGroup = "inventory";
constexpr Duration kLeaseTtl = std::chrono::seconds{10};

Async<void> sleep_for(Duration d) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor,
                                  std::chrono::duration_cast<std::chrono::steady_clock::duration>(d));
  co_await timer.async_wait(boost::asio::use_awaitable);
}

void note(std::atomic<bool>& up, const Result<>& pinged, bool first, const char* engine) {
  const bool is_up = pinged.has_value();
  if (up.exchange(is_up) == is_up && !first) return;
  if (!is_up)
    log::warning("engine is away", {{"engine", engine}, {"why", pinged.error().message}});
  else if (!first)
    log::info("engine is back", {{"engine", engine}});
}

Async<void> ping_all(ApiLoop& loop, runtime::BlockingPool& pings, Duration timeout, bool first) {
  auto& shared = loop.shared;
  const auto store = co_await loop.on_store(loop.store->ping());
  note(shared.state_store_up, store, first, "state store");
  const auto ledger = co_await guarded(
      shared.breakers.ledger, pings.run([&shared, timeout] { return shared.ledger->ping(timeout); }));
  note(shared.ledger_up, ledger, first, "ledger");
  const auto log = co_await guarded(
      shared.breakers.event_log, pings.run([&shared, timeout] { return shared.event_log->ping(timeout); }));
  note(shared.event_log_up, log, first, "event log");
  shared.engines_checked = true;
}

// Whether everything before `ends` is settled.
Async<Result<bool>> ledger_has_reached(ApiLoop& loop, std::vector<std::int64_t> ends) {
  return loop.shared.on_ledger([ends = std::move(ends)](Ledger& ledger) -> Result<bool> {
    const auto read =
        ledger.next_offsets(kInventoryGroup, kOrdersTopic, static_cast<std::int32_t>(ends.size()));
    if (!read) return read.error();
    for (std::size_t i = 0; i < ends.size(); ++i)
      if (i >= read->size() || (*read)[i] < ends[i]) return false;
    return true;
  });
}

// With the lease held: what the ledger knows becomes what the store holds. Orders
// that were accepted but not settled must be settled first, or their stock would be
// given out again.
Async<Result<>> rebuild(ApiLoop& loop, const std::string& owner, const std::vector<LedgerProduct>& products,
                        WatchOptions options) {
  auto& shared = loop.shared;
  log::warning("the state store has lost its data; rebuilding it from the ledger",
               {{"products", std::to_string(products.size())}});
  co_await sleep_for(options.settle_down);
  const auto ends = co_await guarded(shared.breakers.event_log, shared.ledger_calls->run([&shared] {
    return shared.event_log->end_offsets(kOrdersTopic);
  }));
  if (!ends) co_return ends.error();
  while (true) {
    const auto reached = co_await ledger_has_reached(loop, *ends);
    if (!reached) co_return reached.error();
    if (*reached) break;
    const auto lease = co_await loop.on_store(loop.store->acquire_lease(kRestoreLease, owner, kLeaseTtl));
    if (!lease) co_return lease.error();
    if (!*lease) co_return Error{Errc::fenced, "another instance rebuilds the state store now"};
    co_await sleep_for(std::chrono::milliseconds{100});
  }
  const auto settled = co_await shared.on_ledger([](Ledger& ledger) { return ledger.list_products(); });
  if (!settled) co_return settled.error();
  for (const auto& product : *settled) {
    const auto restored = co_await loop.on_store(
        loop.store->restore_product(product.product_id, product.stock, product.confirmed, product.buckets));
    if (!restored) co_return restored.error();
  }
  log::info("the state store is rebuilt", {{"products", std::to_string(settled->size())}});
  co_return Result<>{};
}

}  // namespace

Async<Result<bool>> restore_state(ApiLoop& loop, const std::string& owner, WatchOptions options) {
  auto& shared = loop.shared;
  const auto restored = co_await loop.on_store(loop.store->is_restored());
  if (!restored) co_return restored.error();
  if (*restored) co_return true;
  auto lease = co_await loop.on_store(loop.store->acquire_lease(kRestoreLease, owner, kLeaseTtl));
  if (!lease) co_return lease.error();
  if (!*lease) co_return false;  // another instance does it
  const auto products = co_await shared.on_ledger([](Ledger& ledger) { return ledger.list_products(); });
  Result<> done;
  if (!products)
    done = products.error();
  else if (!products->empty())
    done = co_await rebuild(loop, owner, *products, options);
  if (done) done = co_await loop.on_store(loop.store->mark_restored());
  (void)co_await loop.on_store(loop.store->release_lease(**lease));
  if (!done) co_return done.error();
  co_return true;
}

Async<void> watch_engines(ApiLoop& loop, runtime::BlockingPool& pings, WatchOptions options) {
  auto& shared = loop.shared;
  const std::string owner = new_uuid(shared.clock).to_string();
  for (bool first = true;; first = false) {
    const bool store_was_up = shared.state_store_up;
    co_await ping_all(loop, pings, options.ping_timeout, first);
    // A store that comes back may have come back empty.
    const bool came_back = shared.state_store_up && !store_was_up;
    if (shared.state_store_up && (came_back || !shared.restored)) {
      const auto restored = co_await restore_state(loop, owner, options);
      shared.restored = restored && *restored;
      if (!restored && restored.error().code != Errc::unavailable)
        log::warning("cannot restore the state store yet", {{"why", restored.error().message}});
    }
    // Closed breakers are looked at now and then, open ones as soon as they may be.
    const bool all_well = shared.event_log_up && shared.state_store_up && shared.ledger_up && shared.restored;
    co_await sleep_for(all_well ? options.interval : options.interval / 4);
  }
}

std::vector<std::string> not_ready_because(const ApiState& state) {
  std::vector<std::string> reasons;
  if (state.draining) reasons.emplace_back("draining");
  if (!state.engines_checked) {
    reasons.emplace_back("starting");
    return reasons;
  }
  if (!state.event_log_up) reasons.emplace_back("the event log is away");
  if (!state.state_store_up) reasons.emplace_back("the state store is away");
  if (!state.ledger_up) reasons.emplace_back("the ledger is away");
  if (!state.restored) reasons.emplace_back("the state store is being rebuilt from the ledger");
  return reasons;
}

}  // namespace flux::api
