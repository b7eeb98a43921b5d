#pragma once
// Exponential back-off with full jitter: the n-th wait is uniform in
// [0, min(longest, first * 2^n)], so that many waiters do not return together.

#include <algorithm>
#include <cstdint>
#include <random>

#include "common/core/clock.hpp"

namespace flux::worker {

struct BackoffPolicy {
  Duration first = std::chrono::milliseconds{200};
  Duration longest = std::chrono::seconds{30};
};

inline Duration backoff_ceiling(const BackoffPolicy& policy, int attempt) {
  Duration ceiling = policy.first;
  for (int i = 0; i < attempt && ceiling < policy.longest; ++i) ceiling *= 2;
  return std::min(ceiling, policy.longest);
}

template <class Random>
Duration backoff_wait(const BackoffPolicy& policy, int attempt, Random& random) {
  return Duration{
      std::uniform_int_distribution<std::int64_t>{0, backoff_ceiling(policy, attempt).count()}(random)};
}

}  // namespace flux::worker
