#pragma once
// When load is applied: pure functions from elapsed time to users or arrivals.

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"

namespace flux::loadtest {

// Uniform between both; {0,0} is no pause.
struct ThinkTime {
  Duration least{};
  Duration most{};
};

// "1s-3s", "500ms" or "0"
Result<ThinkTime> parse_think_time(std::string_view text);

// Over `length` the number of users moves in a straight line to `users`.
struct Stage {
  Duration length{};
  double users = 0;
};

// "10s:100,1m:5000,10s:0"
Result<std::vector<Stage>> parse_stages(std::string_view text);

// A closed model: users wait for their answer before they go on.
struct UserPlan {
  std::uint32_t users = 100;
  double spawn_rate = 0;      // users per second; 0: as fast as connections can be made
  std::vector<Stage> stages;  // not empty: these instead of the two above

  // How many users shall be active `elapsed` after the start.
  std::uint32_t users_at(Duration elapsed) const;
  std::uint32_t most_users() const;
  // When users_at() stops changing.
  Duration settles_after() const;
};

// An open model: arrival n is due at n / rate, whatever the answers do.
struct ArrivalPlan {
  double rate = 0;  // per second; 0: not an open model

  std::int64_t due_ns(std::uint64_t n) const;
  // How many arrivals are due before `elapsed`.
  std::uint64_t due_before(Duration elapsed) const;
};

}  // namespace flux::loadtest
