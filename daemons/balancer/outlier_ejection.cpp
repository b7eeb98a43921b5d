#include "daemons/balancer/outlier_ejection.hpp"

#include <algorithm>

namespace flux::balancer {

bool OutlierEjection::on_failure(SteadyTime now, FailureKind kind, double random) {
  if (state_ == State::half_open) {
    eject(now, kind, random);
    return true;
  }
  if (state_ == State::open) return false;  // requests that were under way
  if (++failures_ < policy_.consecutive) return false;
  eject(now, kind, random);
  return true;
}

void OutlierEjection::eject(SteadyTime now, FailureKind kind, double random) {
  kind_ = kind;
  failures_ = 0;
  times_ = std::min<std::uint32_t>(times_ + 1, 1000);
  const auto span = std::min(policy_.base * times_, policy_.longest);
  until_ = now + span +
           Duration{static_cast<Duration::rep>(static_cast<double>(span.count()) * policy_.jitter * random)};
  state_ = State::open;
}

void OutlierEjection::close() {
  state_ = State::closed;
  failures_ = 0;
}

bool OutlierEjection::on_success(SteadyTime) {
  failures_ = 0;
  if (state_ != State::half_open) return false;
  close();
  return true;
}

bool OutlierEjection::on_probes_passed(bool failed_before) {
  if (state_ == State::closed || (kind_ != FailureKind::unreachable && !failed_before)) return false;
  close();
  return true;
}

void OutlierEjection::on_healthy_sweep() {
  if (state_ == State::closed && times_ > 0) --times_;
}

bool OutlierEjection::take_trial(SteadyTime now) {
  if (state_ == State::closed || now < until_) return false;
  state_ = State::half_open;
  until_ = now + policy_.trial_timeout;
  return true;
}

}  // namespace flux::balancer
