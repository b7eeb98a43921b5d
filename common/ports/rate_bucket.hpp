#pragma once
// The token bucket as one number (generic cell rate algorithm): the moment at
// which the bucket will be full again. Every state store decides by this rule.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/ports/state_store.hpp"

namespace flux {

struct RateBucket {
  double token_us;     // time that one token takes to come
  double capacity_us;  // time that a whole burst takes to come

  RateBucket(double rate, double burst)
      : token_us(1e6 / rate), capacity_us(std::max(burst, 1.0) * token_us) {}

  // `full_at_us` is 0 for a client not seen before; moved on when allowed.
  RateDecision take(std::int64_t& full_at_us, std::int64_t now_us) const {
    const double next =
        static_cast<double>(std::max(full_at_us, now_us)) - static_cast<double>(now_us) + token_us;
    // Half a microsecond of slack, as full_at_us is rounded.
    if (next <= capacity_us + 0.5) {
      full_at_us = now_us + std::llround(next);
      return {};
    }
    return {false, Duration{std::llround((next - capacity_us) * 1000)}};
  }
};

inline std::int64_t unix_us(WallTime t) {
  return std::chrono::duration_cast<std::chrono::microseconds>(t.time_since_epoch()).count();
}

}  // namespace flux
