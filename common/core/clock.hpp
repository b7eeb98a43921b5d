#pragma once
// Time as a dependency. Decisions that depend on time take a Clock, so that
// tests can move it by hand.

#include <atomic>
#include <chrono>
#include <cstdint>

namespace flux {

using Duration = std::chrono::nanoseconds;
using WallTime = std::chrono::system_clock::time_point;
using SteadyTime = std::chrono::steady_clock::time_point;

// Thread-safe; neither call blocks.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;      // since the Unix epoch; may jump
  virtual SteadyTime steady() const = 0;  // never goes back
};

// The machine's clocks; lives for the whole process.
const Clock& system_clock();

// A clock that moves only when told. wall() and steady() advance together.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = WallTime{std::chrono::hours{24 * 365 * 50}});
  WallTime wall() const override;
  SteadyTime steady() const override;
  void advance(Duration by);

 private:
  WallTime start_;
  std::atomic<std::int64_t> elapsed_ns_{0};
};

std::int64_t unix_ms(WallTime t);
WallTime from_unix_ms(std::int64_t ms);
std::int64_t unix_us(WallTime t);
WallTime from_unix_us(std::int64_t us);

}  // namespace flux
