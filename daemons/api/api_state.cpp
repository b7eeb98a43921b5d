#include "daemons/api/api_state.hpp"

#include <algorithm>
#include <cmath>

#include "common/core/log.hpp"
#include "common/http/problem.hpp"

namespace flux::api {
namespace {

constexpr runtime::BreakerOptions kBreaker{.failures_to_open = 3};

}  // namespace

Breakers::Breakers(const Clock& clock, MetricsRegistry& metrics)
    : event_log(kBreaker, clock), state_store(kBreaker, clock), ledger(kBreaker, clock) {
  const auto gauge = [&metrics](const char* engine) {
    return &metrics.gauge("flux_breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open.",
                          {{"engine", engine}});
  };
  const auto number = [](const CircuitBreaker& breaker) {
    switch (breaker.state()) {
      case CircuitBreaker::State::closed: return 0.0;
      case CircuitBreaker::State::half_open: return 1.0;
      case CircuitBreaker::State::open: return 2.0;
    }
    return 0.0;
  };
  metrics.before_exposition([this, number, log_gauge = gauge("event_log"), store_gauge = gauge("state_store"),
                             ledger_gauge = gauge("ledger")] {
    log_gauge->set(number(event_log));
    store_gauge->set(number(state_store));
    ledger_gauge->set(number(ledger));
  });
}

int Breakers::retry_after_s() const {
  const auto longest = std::max({event_log.retry_after(), state_store.retry_after(), ledger.retry_after()});
  return std::max(1, static_cast<int>(std::ceil(std::chrono::duration<double>(longest).count())));
}

ApiState::ApiState(const Config& configuration, MetricsRegistry& registry, const Clock& the_clock)
    : config(configuration),
      clock(the_clock),
      metrics(registry),
      breakers(the_clock, registry),
      tokens(configuration.api.tokens_file, the_clock),
      orders_accepted(registry.counter("flux_orders_accepted_total", "Orders answered with 202.")) {}

std::string client_of(const HttpRequest& request, const AccessToken* token) {
  if (token != nullptr) return "token:" + token->name;
  std::string_view address = request.peer;
  if (address.starts_with("127.") || address == "::1") {
    // Only a proxy on this machine is believed, and only what it added itself.
    auto forwarded = request.header("x-forwarded-for");
    forwarded.remove_prefix(std::min(forwarded.rfind(',') + 1, forwarded.size()));
    while (forwarded.starts_with(' ')) forwarded.remove_prefix(1);
    if (!forwarded.empty() && forwarded.size() <= 64) address = forwarded;
  }
  return "address:" + std::string(address);
}

HttpResponse failure(const ApiState& state, const HttpRequest& request, const Error& error) {
  const auto problem = problem_of(error);
  if (problem.status >= 500)
    log::write(problem.status == 500 ? log::Level::error : log::Level::debug, "request failed",
               {{"route", std::string(request.route)},
                {"request", request.request_id},
                {"status", std::to_string(problem.status)},
                {"why", error.message}});
  return problem_response(request, problem, state.breakers.retry_after_s());
}

HttpResponse refusal(const HttpRequest& request, int status, std::string_view code, std::string detail,
                     std::string hint) {
  return problem_response(request, {status, std::move(detail), std::string(code), std::move(hint)});
}

}  // namespace flux::api
