#pragma once
// What the handlers of the API share: the engines behind their breakers, and the
// switches that say whether work may come in.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "common/config/config.hpp"
#include "common/metrics/registry.hpp"
#include "common/ports/event_log.hpp"
#include "common/ports/ledger.hpp"
#include "common/ports/state_store.hpp"
#include "daemons/api/token_file.hpp"
#include "daemons/runtime/blocking_pool.hpp"
#include "daemons/runtime/circuit_breaker.hpp"
#include "daemons/runtime/http_message.hpp"

namespace flux::api {

using runtime::CircuitBreaker;
using runtime::HttpAnswer;
using runtime::HttpRequest;
using runtime::HttpResponse;

enum class Probing { may_probe, never };

// Asks the breaker before, and tells it after. A call that may take long never is
// the probe of an open breaker: the watch's ping finds out when the engine is back.
template <class T>
Async<Result<T>> guarded(CircuitBreaker& breaker, Async<Result<T>> call,
                         Probing probing = Probing::may_probe) {
  const bool may_ask = probing == Probing::may_probe || breaker.state() == CircuitBreaker::State::closed;
  auto permit = may_ask ? breaker.ask() : CircuitBreaker::Permit{};
  if (!permit) co_return Error{Errc::unavailable, "the circuit breaker is open", "", true};
  auto result = co_await std::move(call);
  if (!result && runtime::counts_against_server(result.error().code))
    permit.failed();
  else
    permit.succeeded();
  co_return result;
}

struct Breakers {
  explicit Breakers(const Clock& clock, MetricsRegistry& metrics);
  CircuitBreaker event_log, state_store, ledger;
  // Seconds for Retry-After: until the last of them may be asked again, at least 1.
  int retry_after_s() const;
};

// One per process; thread-safe.
struct ApiState {
  ApiState(const Config& configuration, MetricsRegistry& registry, const Clock& the_clock = system_clock());

  const Config& config;
  const Clock& clock;
  MetricsRegistry& metrics;
  Breakers breakers;
  TokenFile tokens;
  Ledger* ledger = nullptr;
  EventLog* event_log = nullptr;
  runtime::BlockingPool* ledger_calls = nullptr;

  std::atomic<bool> draining{false};
  std::atomic<bool> restored{false};  // the state store holds what the ledger says
  std::atomic<bool> engines_checked{false};
  std::atomic<bool> event_log_up{false}, state_store_up{false}, ledger_up{false};  // as of the last ping

  Counter& orders_accepted;

  // Runs `call(Ledger&)` off the loop, behind the breaker. Coroutines call this
  // through a plain function when `call` captures more than plain values: g++ 12
  // copies the bytes of closures and aggregates that are temporaries of a co_await
  // expression, and then destroys them twice.
  template <class Call>
  auto on_ledger(Call call) {
    return guarded(breakers.ledger,
                   ledger_calls->run([this, call = std::move(call)] { return call(*ledger); }));
  }
};

// One per event loop.
struct ApiLoop {
  ApiState& shared;
  StateStore* store = nullptr;
  EventProducer* producer = nullptr;

  template <class T>
  Async<Result<T>> on_store(Async<Result<T>> call) {
    return guarded(shared.breakers.state_store, std::move(call));
  }
};

// Who sent a request: the token's name, or the address a loopback proxy names, or the peer.
std::string client_of(const HttpRequest& request, const AccessToken* token);

// The one place where an Error becomes a response. Logs what clients are not told.
HttpResponse failure(const ApiState& state, const HttpRequest& request, const Error& error);
HttpResponse refusal(const HttpRequest& request, int status, std::string_view code, std::string detail,
                     std::string hint = "");

}  // namespace flux::api
