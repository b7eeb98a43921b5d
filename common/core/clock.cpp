#include "common/core/clock.hpp"

namespace flux {
namespace {

class SystemClock final : public Clock {
 public:
  WallTime wall() const override { return std::chrono::system_clock::now(); }
  SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

ManualClock::ManualClock(WallTime start) : start_(start) {}

WallTime ManualClock::wall() const {
  return start_ + std::chrono::duration_cast<WallTime::duration>(Duration{elapsed_ns_.load()});
}

SteadyTime ManualClock::steady() const {
  return SteadyTime{Duration{elapsed_ns_.load()}};
}

void ManualClock::advance(Duration by) {
  elapsed_ns_ += by.count();
}

std::int64_t unix_ms(WallTime t) {
  return std::chrono::floor<std::chrono::milliseconds>(t.time_since_epoch()).count();
}

WallTime from_unix_ms(std::int64_t ms) {
  return WallTime{std::chrono::milliseconds{ms}};
}

std::int64_t unix_us(WallTime t) {
  return std::chrono::floor<std::chrono::microseconds>(t.time_since_epoch()).count();
}

WallTime from_unix_us(std::int64_t us) {
  return WallTime{std::chrono::microseconds{us}};
}

}  // namespace flux
