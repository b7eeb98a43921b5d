#include "cli/loadtest/pacing.hpp"

#include <algorithm>
#include <cmath>

#include "common/core/units.hpp"

namespace flux::loadtest {
namespace {

double seconds(Duration d) {
  return static_cast<double>(d.count()) / 1e9;
}

}  // namespace

Result<ThinkTime> parse_think_time(std::string_view text) {
  const auto dash = text.find('-');
  const auto least = parse_duration(text.substr(0, dash));
  if (!least) return least.error();
  if (dash == std::string_view::npos) return ThinkTime{*least, *least};
  const auto most = parse_duration(text.substr(dash + 1));
  if (!most) return most.error();
  if (*most < *least)
    return Error{Errc::invalid_argument, "think time '" + std::string(text) + "' ends before it begins",
                 "write the shorter time first, like 1s-3s"};
  return ThinkTime{*least, *most};
}

Result<std::vector<Stage>> parse_stages(std::string_view text) {
  std::vector<Stage> stages;
  while (true) {
    const auto comma = text.find(',');
    const std::string_view one = text.substr(0, comma);
    const auto colon = one.find(':');
    if (colon == std::string_view::npos)
      return Error{Errc::invalid_argument, "stage '" + std::string(one) + "' has no number of users",
                   "write stages like 10s:100,1m:5000,10s:0"};
    const auto length = parse_duration(one.substr(0, colon));
    if (!length) return length.error();
    const auto users = parse_count(one.substr(colon + 1));
    if (!users) return users.error();
    stages.push_back({*length, static_cast<double>(*users)});
    if (comma == std::string_view::npos) return stages;
    text.remove_prefix(comma + 1);
  }
}

std::uint32_t UserPlan::users_at(Duration elapsed) const {
  if (stages.empty()) {
    if (spawn_rate <= 0) return users;
    const double spawned = 1 + seconds(elapsed) * spawn_rate;
    return spawned >= users ? users : static_cast<std::uint32_t>(spawned);
  }
  double from = 0;
  for (const Stage& stage : stages) {
    if (elapsed < stage.length)
      return static_cast<std::uint32_t>(
          std::lround(from + (stage.users - from) * (seconds(elapsed) / seconds(stage.length))));
    elapsed -= stage.length;
    from = stage.users;
  }
  return static_cast<std::uint32_t>(from);
}

std::uint32_t UserPlan::most_users() const {
  if (stages.empty()) return users;
  double most = 0;
  for (const Stage& stage : stages) most = std::max(most, stage.users);
  return static_cast<std::uint32_t>(most);
}

Duration UserPlan::settles_after() const {
  if (stages.empty()) {
    if (spawn_rate <= 0) return Duration::zero();
    return Duration{std::llround(static_cast<double>(users) / spawn_rate * 1e9)};
  }
  Duration total{};
  for (const Stage& stage : stages) total += stage.length;
  return total;
}

std::int64_t ArrivalPlan::due_ns(std::uint64_t n) const {
  return static_cast<std::int64_t>(static_cast<long double>(n) * 1e9L / static_cast<long double>(rate));
}

std::uint64_t ArrivalPlan::due_before(Duration elapsed) const {
  if (elapsed <= Duration::zero()) return 0;
  auto n = static_cast<std::uint64_t>(static_cast<long double>(elapsed.count()) *
                                      static_cast<long double>(rate) / 1e9L);
  while (due_ns(n) < elapsed.count()) ++n;
  while (n > 0 && due_ns(n - 1) >= elapsed.count()) --n;
  return n;
}

}  // namespace flux::loadtest
