#include "daemons/balancer/timer_wheel.hpp"

#include <algorithm>

namespace flux::balancer {

void TimerWheel::Slot::reset() {
  next_ = this;
  previous_ = this;
}

bool TimerWheel::Slot::empty() const {
  return next_ == this;
}

TimerWheel::TimerWheel() = default;

void Timer::set_deadline(TimerWheel& wheel, std::int64_t at_ms) {
  deadline_ = at_ms;
  if (next_ != nullptr && due_ <= at_ms) return;  // looked at before then
  unlink();
  wheel.link(*this);
}

void TimerWheel::link(Timer& timer) {
  std::int64_t tick = timer.deadline_ / kTickMs + 1;  // never early
  tick = std::clamp(tick, tick_, tick_ + kSlots - 2);
  timer.due_ = tick * kTickMs;
  Slot& slot = slots_[static_cast<std::size_t>(tick % kSlots)];
  timer.next_ = &slot;
  timer.previous_ = slot.previous_;
  slot.previous_->next_ = &timer;
  slot.previous_ = &timer;
}

void TimerWheel::expire(std::int64_t now_ms) {
  const std::int64_t now_tick = now_ms / kTickMs;
  for (; tick_ <= now_tick;) {
    Slot& slot = slots_[static_cast<std::size_t>(tick_ % kSlots)];
    ++tick_;  // what is set from now on belongs to later ticks
    while (!slot.empty()) {
      Timer& timer = *slot.next_;
      timer.unlink();
      if (timer.deadline_ == 0) continue;
      if (timer.deadline_ > now_ms) {
        link(timer);
        continue;
      }
      timer.deadline_ = 0;
      timer.on_deadline();
    }
  }
}

int TimerWheel::wait_ms(std::int64_t now_ms) const {
  // The nearest slot that holds anything; looking a second ahead is enough.
  constexpr std::int64_t kLookAhead = 64;
  for (std::int64_t tick = tick_; tick < tick_ + kLookAhead; ++tick)
    if (!slots_[static_cast<std::size_t>(tick % kSlots)].empty())
      return static_cast<int>(std::clamp<std::int64_t>(tick * kTickMs - now_ms, 0, 1000));
  return 1000;
}

}  // namespace flux::balancer
