#pragma once
// Waiting for a condition with a deadline, instead of sleeping.

#include <chrono>
#include <thread>

#include "common/core/clock.hpp"

namespace flux::testing {

template <class Predicate>
bool eventually(Duration deadline, Predicate predicate) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return true;
}

}  // namespace flux::testing
