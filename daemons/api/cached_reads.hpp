#pragma once
// Reads through the cache. However many ask for a key at once, one asks the
// store per loop, and one fills the cache per process.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "daemons/api/api_state.hpp"

namespace flux::api {

// A document as it is cached: its entity tag, then its body.
struct CachedDocument {
  std::shared_ptr<const std::string> body;
  std::string tag;
  bool hit = false;
};

struct FilledDocument {
  std::string tag;
  std::string body;
};

// The fills under way in this process. Thread-safe.
class FillTable {
 public:
  using Outcome = std::shared_ptr<const Result<CachedDocument>>;
  using Waiter = std::function<void(Outcome)>;

  struct Fill {
    std::vector<Waiter> waiters{};
    bool stale = false;  // the key was written since the fill began
  };
  // The fill of `key`, and whether the caller is the one to do it; if not, `waiter` is called.
  std::pair<std::shared_ptr<Fill>, bool> join(const std::string& key, const std::function<Waiter()>& waiter);
  bool is_stale(const std::shared_ptr<Fill>& fill);
  void finish(const std::string& key, const std::shared_ptr<Fill>& fill, Outcome outcome);
  // Who asks from now on does not get what was read before.
  void invalidate(const std::string& key);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Fill>> fills_;
};

// One per loop. Outlives the loop's coroutines.
class CachedReads {
 public:
  using Fill = std::function<Async<Result<FilledDocument>>()>;

  CachedReads(ApiLoop& loop, FillTable& fills) : loop_(loop), fills_(fills) {}

  // `kind` is a label for metrics, static text. A store that is away only costs the cache.
  Async<Result<CachedDocument>> get(std::string key, std::string_view kind, Duration ttl, Fill fill);
  // What the cache has, without filling; `not_found` when nothing.
  Async<Result<CachedDocument>> peek(std::string key, std::string_view kind);
  // After a write. Drops the key now, and again a moment later: a fill in another
  // process that read before the write may store after the first drop.
  Async<void> drop(std::string key);

 private:
  using Outcome = FillTable::Outcome;
  // What a waiter is woken with: the answer, or (null) the lead over those behind it.
  using Turn = std::function<void(Outcome)>;

  Async<Result<CachedDocument>> lookup(const std::string& key);
  Async<Result<CachedDocument>> fill_once(const std::string& key, Duration ttl, const Fill& fill);
  Async<Outcome> await_turn(std::vector<Turn>& queue);
  void count(std::string_view kind, bool hit);

  ApiLoop& loop_;
  FillTable& fills_;
  std::unordered_map<std::string, std::vector<Turn>> queues_;  // of keys being read now
  std::unordered_map<const char*, std::pair<Counter*, Counter*>> counters_;
};

}  // namespace flux::api
