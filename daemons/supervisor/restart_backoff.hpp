#pragma once
// How long a crashed replica waits before it starts again: 0.5 s, doubled with
// each crash in a row up to 30 s; a replica that lived for a minute starts afresh.

#include <algorithm>

#include "common/core/clock.hpp"

namespace flux::supervisor {

class RestartBackoff {
 public:
  Duration after_crash(Duration lived) {
    if (lived >= std::chrono::minutes{1}) next_ = kFirst;
    const Duration wait = next_;
    next_ = std::min<Duration>(next_ * 2, std::chrono::seconds{30});
    return wait;
  }

 private:
  static constexpr Duration kFirst = std::chrono::milliseconds{500};
  Duration next_ = kFirst;
};

}  // namespace flux::supervisor
