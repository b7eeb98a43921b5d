#pragma once
// Active health of one upstream: `fall` failed probes in a row take it down,
// `rise` passed ones bring it back; between the two it is probed faster.

#include <cstdint>

#include "common/core/clock.hpp"

namespace flux::balancer {

struct ProbePolicy {
  Duration interval = std::chrono::seconds{2};
  Duration timeout = std::chrono::seconds{1};
  Duration fast_interval = std::chrono::milliseconds{200};  // while in transition
  Duration fast_timeout = std::chrono::milliseconds{400};
  std::uint32_t fall = 3;
  std::uint32_t rise = 2;
};

class ProbeHistory {
 public:
  enum class Change : std::uint8_t { none, went_down, came_up };

  Change record(const ProbePolicy& policy, bool passed) {
    if (passed) {
      failed_ = 0;
      if (++passed_ >= policy.rise && !up_) return up_ = true, Change::came_up;
    } else {
      passed_ = 0;
      if (++failed_ >= policy.fall && up_) return up_ = false, Change::went_down;
    }
    return Change::none;
  }

  bool up() const { return up_; }
  // The next probe may decide something.
  bool in_transition() const { return up_ ? failed_ > 0 : passed_ > 0; }
  std::uint32_t passed_in_a_row() const { return passed_; }
  // The first verdict of a new upstream comes from its first probe.
  void assume(bool up) { up_ = up; }

 private:
  bool up_ = true;
  std::uint32_t passed_ = 0;
  std::uint32_t failed_ = 0;
};

}  // namespace flux::balancer
