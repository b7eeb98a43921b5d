#include "daemons/runtime/circuit_breaker.hpp"

#include <algorithm>
#include <utility>

namespace flux::runtime {

bool counts_against_server(Errc code) {
  return code == Errc::unavailable || code == Errc::timed_out || code == Errc::maybe_persisted;
}

CircuitBreaker::CircuitBreaker(BreakerOptions options, const Clock& clock)
    : options_(options), clock_(clock), open_for_(options.open_for) {}

CircuitBreaker::Permit::Permit(Permit&& other) noexcept
    : breaker_(std::exchange(other.breaker_, nullptr)), is_probe_(other.is_probe_) {}

CircuitBreaker::Permit& CircuitBreaker::Permit::operator=(Permit&& other) noexcept {
  std::swap(breaker_, other.breaker_);
  std::swap(is_probe_, other.is_probe_);
  return *this;
}

CircuitBreaker::Permit::~Permit() {
  if (breaker_ == nullptr || !is_probe_) return;
  const std::lock_guard lock(breaker_->mutex_);
  breaker_->probing_ = false;  // the next caller probes
}

void CircuitBreaker::Permit::succeeded() {
  if (auto* breaker = std::exchange(breaker_, nullptr)) breaker->record_success();
}

void CircuitBreaker::Permit::failed() {
  if (auto* breaker = std::exchange(breaker_, nullptr)) breaker->record_failure(is_probe_);
}

CircuitBreaker::Permit CircuitBreaker::ask() {
  if (state() == State::closed) return {*this, false};
  const std::lock_guard lock(mutex_);
  if (state() == State::closed) return {*this, false};
  if (probing_ || clock_.steady() < probe_at_) return {};
  state_ = State::half_open;
  probing_ = true;
  return {*this, true};
}

bool CircuitBreaker::would_permit() const {
  if (state() == State::closed) return true;
  const std::lock_guard lock(mutex_);
  return state() == State::closed || (!probing_ && clock_.steady() >= probe_at_);
}

Duration CircuitBreaker::retry_after() const {
  if (state() == State::closed) return Duration::zero();
  const std::lock_guard lock(mutex_);
  return std::max(Duration::zero(), Duration(probe_at_ - clock_.steady()));
}

void CircuitBreaker::record_success() {
  if (failures_.load(std::memory_order_relaxed) != 0) failures_.store(0, std::memory_order_relaxed);
  if (state() == State::closed) return;
  const std::lock_guard lock(mutex_);
  state_ = State::closed;
  probing_ = false;
  open_for_ = options_.open_for;
}

void CircuitBreaker::record_failure(bool was_probe) {
  const int failures = failures_.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::lock_guard lock(mutex_);
  if (was_probe) {
    open_for_ = std::min(open_for_ * 2, options_.open_for_at_most);
    probing_ = false;
  } else if (state() != State::closed || failures < options_.failures_to_open) {
    return;  // calls that were under way when it opened say nothing new
  }
  state_ = State::open;
  probe_at_ = clock_.steady() + open_for_;
}

}  // namespace flux::runtime
