#include "daemons/api/cached_reads.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace flux::api {
namespace {

namespace asio = boost::asio;
using Outcome = FillTable::Outcome;

// Suspends until the function given to `arrange` is called, from whatever thread.
template <class Arrange>
Async<Outcome> await_outcome(Arrange arrange) {
  const auto executor = co_await asio::this_coro::executor;
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Outcome)>(
      [&arrange, &executor](auto handler) {
        const auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        arrange([shared, executor = executor](Outcome outcome) {
          asio::post(executor, [shared, outcome = std::move(outcome)]() mutable {
            std::move (*shared)(std::move(outcome));
          });
        });
      },
      asio::use_awaitable);
}

Outcome outcome_of(Result<CachedDocument> result) {
  return std::make_shared<const Result<CachedDocument>>(std::move(result));
}

}  // namespace

std::pair<std::shared_ptr<FillTable::Fill>, bool> FillTable::join(const std::string& key,
                                                                  const std::function<Waiter()>& waiter) {
  const std::lock_guard lock(mutex_);
  auto& fill = fills_[key];
  if (!fill) {
    fill = std::make_shared<Fill>();
    return {fill, true};
  }
  fill->waiters.push_back(waiter());
  return {fill, false};
}

bool FillTable::is_stale(const std::shared_ptr<Fill>& fill) {
  const std::lock_guard lock(mutex_);
  return fill->stale;
}

void FillTable::finish(const std::string& key, const std::shared_ptr<Fill>& fill, Outcome outcome) {
  std::vector<Waiter> waiters;
  {
    const std::lock_guard lock(mutex_);
    waiters.swap(fill->waiters);
    const auto at = fills_.find(key);
    if (at != fills_.end() && at->second == fill) fills_.erase(at);
  }
  for (const auto& wake : waiters) wake(outcome);
}

void FillTable::invalidate(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto at = fills_.find(key);
  if (at == fills_.end()) return;
  at->second->stale = true;
  fills_.erase(at);
}

void CachedReads::count(std::string_view kind, bool hit) {
  auto& [hits, misses] = counters_[kind.data()];
  if (hits == nullptr) {
    const auto counter = [&](const char* result) {
      return &loop_.shared.metrics.counter("flux_cache_requests_total", "Reads through the cache.",
                                           {{"kind", std::string(kind)}, {"result", result}});
    };
    hits = counter("hit");
    misses = counter("miss");
  }
  (hit ? hits : misses)->add();
}

Async<Outcome> CachedReads::await_turn(std::vector<Turn>& queue) {
  co_return co_await await_outcome([&queue](Turn turn) { queue.push_back(std::move(turn)); });
}

// A read that began before this request may miss a write the client has seen done,
// so a request never takes the result of such a read: it waits for the next one.
Async<Result<CachedDocument>> CachedReads::get(std::string key, std::string_view kind, Duration ttl,
                                               Fill fill) {
  const auto under_way = queues_.find(key);
  if (under_way != queues_.end()) {
    const auto outcome = co_await await_turn(under_way->second);
    if (outcome != nullptr) {
      if (*outcome) count(kind, (**outcome).hit);
      co_return *outcome;
    }
  }
  // This request reads, for itself and for all that wait now.
  auto followers = std::exchange(queues_[key], {});
  Result<CachedDocument> result = co_await lookup(key);
  if (!result) result = co_await fill_once(key, ttl, fill);
  if (result) count(kind, result->hit);
  if (!followers.empty()) {
    const auto outcome = outcome_of(result);
    for (const auto& wake : followers) wake(outcome);
  }
  // Who came meanwhile reads next: the first of them, for the others.
  const auto queue = queues_.find(key);
  if (queue->second.empty()) {
    queues_.erase(queue);
  } else {
    const auto next = std::move(queue->second.front());
    queue->second.erase(queue->second.begin());
    next(nullptr);
  }
  co_return result;
}

Async<Result<CachedDocument>> CachedReads::peek(std::string key, std::string_view kind) {
  auto found = co_await lookup(key);
  count(kind, found.has_value());
  co_return found;
}

Async<Result<CachedDocument>> CachedReads::lookup(const std::string& key) {
  auto cached = co_await loop_.on_store(loop_.store->cache_get(key));
  if (!cached) co_return cached.error();
  if (!*cached) co_return Error{Errc::not_found, "not cached"};
  const auto line = (*cached)->find('\n');
  if (line == std::string::npos) co_return Error{Errc::corrupted, "not a cached document"};
  co_return CachedDocument{std::make_shared<const std::string>((*cached)->substr(line + 1)),
                           (*cached)->substr(0, line), true};
}

Async<Result<CachedDocument>> CachedReads::fill_once(const std::string& key, Duration ttl, const Fill& fill) {
  std::shared_ptr<FillTable::Fill> mine;
  const auto joined = co_await await_outcome([&](const FillTable::Waiter& wake) {
    auto [entry, leads] = fills_.join(key, [&wake] { return wake; });
    if (!leads) return;
    mine = entry;
    wake(nullptr);
  });
  if (joined != nullptr) co_return *joined;

  auto filled = co_await fill();
  if (!filled) {
    fills_.finish(key, mine, outcome_of(filled.error()));
    co_return filled.error();
  }
  if (ttl > Duration::zero() && !fills_.is_stale(mine)) {
    auto stored = filled->tag + '\n' + filled->body;
    // Not stored: the next read fills again; nothing to tell the client.
    (void)co_await loop_.on_store(loop_.store->cache_put(key, std::move(stored), ttl));
  }
  CachedDocument document{std::make_shared<const std::string>(std::move(filled->body)),
                          std::move(filled->tag), false};
  fills_.finish(key, mine, outcome_of(document));
  co_return document;
}

Async<void> CachedReads::drop(std::string key) {
  fills_.invalidate(key);
  const std::vector<std::string> keys{key};
  (void)co_await loop_.on_store(loop_.store->cache_drop(keys));
  const auto executor = co_await asio::this_coro::executor;
  asio::co_spawn(
      executor,
      [](ApiLoop& loop, std::vector<std::string> again) -> Async<void> {
        asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds{500});
        co_await timer.async_wait(asio::use_awaitable);
        (void)co_await loop.on_store(loop.store->cache_drop(std::move(again)));
      }(loop_, keys),
      asio::detached);
}

}  // namespace flux::api
