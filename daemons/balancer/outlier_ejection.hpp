#pragma once
// Takes a failing upstream out of rotation from what its answers show, and lets
// it back in by one trial request, as a circuit breaker does: closed, open for a
// growing time, half-open. Pure: time and randomness are arguments.

#include <cstdint>

#include "common/core/clock.hpp"

namespace flux::balancer {

enum class FailureKind : std::uint8_t {
  unreachable,  // refused, reset, timed out: a passing probe disproves it
  status_5xx,   // it answers, but wrongly: only time and a trial disprove it
};

struct EjectionPolicy {
  std::uint32_t consecutive = 5;
  Duration base = std::chrono::seconds{30};
  Duration longest = std::chrono::seconds{300};
  double jitter = 0.1;
  Duration trial_timeout = std::chrono::seconds{10};  // a trial without an answer is given up
};

class OutlierEjection {
 public:
  enum class State : std::uint8_t { closed, open, half_open };

  explicit OutlierEjection(EjectionPolicy policy = {}) : policy_(policy) {}

  // True: this failure ejected it. `random` is in [0, 1).
  bool on_failure(SteadyTime now, FailureKind kind, double random);
  // True: it had been ejected and is back.
  bool on_success(SteadyTime now);
  // Active checks pass (`rise` times). That proves it can be reached; it proves that its
  // errors are over only when the checks had `failed_before` as well. True: it is back.
  bool on_probes_passed(bool failed_before);
  // A healthy sweep: past ejections are slowly forgotten.
  void on_healthy_sweep();
  // Open and the time has passed: takes the one trial request.
  bool take_trial(SteadyTime now);

  State state() const { return state_; }
  SteadyTime until() const { return until_; }
  std::uint32_t failures() const { return failures_; }
  std::uint32_t times() const { return times_; }

 private:
  void eject(SteadyTime now, FailureKind kind, double random);
  void close();

  EjectionPolicy policy_;
  State state_ = State::closed;
  FailureKind kind_ = FailureKind::unreachable;
  std::uint32_t failures_ = 0;  // consecutive
  std::uint32_t times_ = 0;     // ejections not yet forgotten
  SteadyTime until_{};
};

}  // namespace flux::balancer
