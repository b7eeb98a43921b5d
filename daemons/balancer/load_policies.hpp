#pragma once
// Small formulas that decide how much an upstream may be given.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/core/clock.hpp"

namespace flux::balancer {

// A share of a returning upstream's weight: max(10 %, (t/T)^(1/aggression)).
inline double slow_start_share(Duration since, Duration window, double aggression = 1.0) {
  if (window <= Duration::zero() || since >= window) return 1.0;
  const double t =
      static_cast<double>(std::max<Duration::rep>(since.count(), 0)) / static_cast<double>(window.count());
  return std::max(0.1, std::pow(t, 1.0 / aggression));
}

// How many retries may be under way at once: max(least, share of active requests).
struct RetryBudget {
  std::uint32_t least = 3;
  double share = 0.2;

  bool allows(std::uint32_t active, std::uint32_t retrying) const {
    return retrying < std::max(static_cast<double>(least), share * static_cast<double>(active));
  }
};

// Peak EWMA: rises at once to a slower answer, decays over `decay` to a faster one.
inline double peak_ewma(double before_ns, double sample_ns, Duration since, Duration decay) {
  if (sample_ns >= before_ns) return sample_ns;
  const double w = std::exp(-static_cast<double>(since.count()) / static_cast<double>(decay.count()));
  return before_ns * w + sample_ns * (1.0 - w);
}

}  // namespace flux::balancer
