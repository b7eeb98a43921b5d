#pragma once
// SIGTERM and SIGINT, waited for like anything else.

#include <memory>

#include "common/core/clock.hpp"

namespace flux::runtime {

// Made before other threads start; one per process.
class ShutdownSignals {
 public:
  ShutdownSignals();
  ~ShutdownSignals();
  // Blocks until a signal comes, or `at_most` passes; returns its number, else 0.
  int wait(Duration at_most = Duration::max());

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux::runtime
