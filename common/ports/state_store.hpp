#pragma once
// The state store: what must be fast and shared between API instances. Stock
// reservations, idempotency keys, rate limits, a cache with TTL, and leases.
// Every operation is atomic, also against other processes.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"

namespace flux {

template <class T>
using Async = boost::asio::awaitable<T>;

// stock = available + reserved + confirmed, always.
struct ProductStock {
  std::string product_id;
  std::int64_t stock = 0;
  std::int64_t available = 0;
  std::int64_t reserved = 0;
  std::int64_t confirmed = 0;
  std::int32_t buckets = 1;
};

struct ReserveRequest {
  Uuid order_id;
  std::string product_id;
  std::int64_t quantity = 0;
  WallTime now{};  // the reservation's age counts from here
};

struct Reservation {
  Uuid order_id;
  std::string product_id;
  std::int32_t bucket = 0;
  std::int32_t buckets = 1;  // of the product, at the time
  std::int64_t quantity = 0;
  WallTime reserved_at{};
};

enum class SettleOutcome : std::uint8_t {
  confirmed,  // reserved -> confirmed
  returned,   // reserved -> available
};

struct Settlement {
  Uuid order_id;
  std::string product_id;
  std::int32_t bucket = 0;
  SettleOutcome outcome = SettleOutcome::confirmed;
};

// What claiming an idempotency key found.
struct KeyClaim {
  enum class State : std::uint8_t {
    fresh,       // this caller owns it now, and must use `order_id`
    taken_over,  // a former owner died; go on with its `order_id`, whose first steps may have happened
    pending,     // another caller is at work on it right now: answer 409 or retry soon
    answered,    // `answer` is what the first caller got
    mismatch,    // the key was used with another body
  };
  State state = State::fresh;
  Uuid order_id{};
  std::string answer{};
};

struct ClaimRequest {
  std::string scope;  // who the key belongs to (client or token), so keys of others do not clash
  std::string key;
  std::string fingerprint;  // of the body
  Uuid order_id;            // used when the key is fresh
  WallTime now{};
  Duration lease = std::chrono::seconds{10};  // after this an unanswered claim may be taken over
  Duration keep = std::chrono::hours{24};     // how long an answer is replayed
};

struct RateDecision {
  bool allowed = true;
  Duration retry_after{};  // meaningful when not allowed
};

struct Lease {
  std::string name;
  std::string owner;
  std::int64_t token = 0;  // grows with every new owner; fences writes of the former one
};

// One per event loop: use it from the thread that runs the executor it was
// opened with. Calls made in one turn of the loop travel together. Every call
// completes within the configured timeout with `unavailable` or `timed_out`
// (the effect of a timed-out call is unknown; all writes here are idempotent,
// so they may be repeated; of a lost connection's calls it is `timed_out` too).
// Decisions take the caller's `now`: ages of reservations, leases of idempotency
// keys, rate limits. What is merely kept for a while (`keep`, `ttl`) is counted by
// the store's own clock: Redis' or that of the embedded engine's options.
class StateStore {
 public:
  virtual ~StateStore() = default;

  // Creates the product or changes its total stock and buckets. `invalid_argument`
  // when the new stock is below what is reserved and confirmed.
  virtual Async<Result<ProductStock>> put_product(std::string product_id, std::int64_t stock,
                                                  std::int32_t buckets) = 0;
  virtual Async<Result<ProductStock>> get_product(std::string product_id) = 0;  // `not_found`
  // Rebuild after loss: sets the product exactly to the ledger's figures
  // (available = stock - confirmed) and forgets reservations of it.
  virtual Async<Result<>> restore_product(std::string product_id, std::int64_t stock, std::int64_t confirmed,
                                          std::int32_t buckets) = 0;
  // True once mark_restored was called since the store last lost its data.
  virtual Async<Result<bool>> is_restored() = 0;
  virtual Async<Result<>> mark_restored() = 0;

  // Idempotent per order id: the same order gets the same reservation, and its
  // age counts from `now` again, so that no reaper returns it between a retry's
  // reserve and its append. One that was settled is forgotten: the order then
  // reserves anew. `not_found`: unknown product. `sold_out`: no bucket holds enough.
  virtual Async<Result<Reservation>> reserve(ReserveRequest request) = 0;
  // Ends reservations. Unknown ones (settled before) are skipped, so it may be
  // repeated. Returns how many it changed.
  virtual Async<Result<std::int64_t>> settle(std::vector<Settlement> settlements) = 0;
  // Reservations older than `before`, oldest first, at most `max`, of any product.
  virtual Async<Result<std::vector<Reservation>>> stale_reservations(WallTime before, std::size_t max) = 0;

  // Claiming again with the order id that owns the key is `fresh` again.
  virtual Async<Result<KeyClaim>> claim_key(ClaimRequest request) = 0;
  // The first answer stays; a key that is gone stays gone.
  virtual Async<Result<>> answer_key(std::string scope, std::string key, std::string answer,
                                     Duration keep) = 0;
  // Gives an unanswered key back, e.g. after 409 or a certain failure.
  virtual Async<Result<>> release_key(std::string scope, std::string key, Uuid order_id) = 0;

  // Token bucket `rate` per second with `burst` (at least 1), shared by all
  // instances. A rate of 0 is no limit.
  virtual Async<Result<RateDecision>> take_token(std::string client, double rate, double burst,
                                                 WallTime now) = 0;

  virtual Async<Result<std::optional<std::string>>> cache_get(std::string key) = 0;
  virtual Async<Result<>> cache_put(std::string key, std::string value, Duration ttl) = 0;
  virtual Async<Result<>> cache_drop(std::vector<std::string> keys) = 0;

  // nullopt: somebody else holds it. Renewing is acquiring again as the same owner.
  virtual Async<Result<std::optional<Lease>>> acquire_lease(std::string name, std::string owner,
                                                            Duration ttl) = 0;
  virtual Async<Result<>> release_lease(Lease lease) = 0;

  virtual Async<Result<>> ping() = 0;
};

}  // namespace flux
