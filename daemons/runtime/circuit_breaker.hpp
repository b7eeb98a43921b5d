#pragma once
// Stops asking a server that does not answer, so that callers fail in
// microseconds instead of timeouts, and finds out by itself when it is back.

#include <atomic>
#include <cstdint>
#include <mutex>

#include "common/core/clock.hpp"
#include "common/core/error.hpp"

namespace flux::runtime {

struct BreakerOptions {
  int failures_to_open = 5;  // in a row
  Duration open_for = std::chrono::milliseconds{500};
  Duration open_for_at_most = std::chrono::seconds{5};  // doubles with every failed probe
};

// Thread-safe. closed: every call may go. open: none may. half-open: one at a
// time, as a probe; its success closes, its failure opens again.
class CircuitBreaker {
 public:
  enum class State : std::uint8_t { closed, open, half_open };

  explicit CircuitBreaker(BreakerOptions options = {}, const Clock& clock = system_clock());

  // The right to make one call. Destroyed without a verdict, it counts as nothing.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept;
    Permit& operator=(Permit&& other) noexcept;
    ~Permit();
    explicit operator bool() const { return breaker_ != nullptr; }
    void succeeded();
    void failed();

   private:
    friend class CircuitBreaker;
    Permit(CircuitBreaker& breaker, bool is_probe) : breaker_(&breaker), is_probe_(is_probe) {}
    CircuitBreaker* breaker_ = nullptr;
    bool is_probe_ = false;
  };

  Permit ask();
  // Whether ask() would give a permit now; takes none.
  bool would_permit() const;
  State state() const { return state_.load(std::memory_order_relaxed); }
  // How long until the next probe; zero unless open.
  Duration retry_after() const;

 private:
  void record_success();
  void record_failure(bool was_probe);

  const BreakerOptions options_;
  const Clock& clock_;
  std::atomic<State> state_{State::closed};
  std::atomic<int> failures_{0};
  mutable std::mutex mutex_;  // taken only when something is wrong
  Duration open_for_;
  SteadyTime probe_at_{};
  bool probing_ = false;
};

// Whether this error speaks about the server and not about the request.
bool counts_against_server(Errc code);

}  // namespace flux::runtime
