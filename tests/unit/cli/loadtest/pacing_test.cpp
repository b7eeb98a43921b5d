#include "cli/loadtest/pacing.hpp"

#include <gtest/gtest.h>

namespace flux::loadtest {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Pacing, ThinkTimeIsOneDurationOrARange) {
  EXPECT_EQ(parse_think_time("0")->most, Duration::zero());
  EXPECT_EQ(parse_think_time("500ms")->least, milliseconds(500));
  EXPECT_EQ(parse_think_time("1s-3s")->least, seconds(1));
  EXPECT_EQ(parse_think_time("1s-3s")->most, seconds(3));
  for (const char* bad : {"", "3s-1s", "1s-", "-1s", "fast", "1s-2s-3s"})
    EXPECT_FALSE(parse_think_time(bad)) << bad;
}

TEST(Pacing, StagesRampInStraightLines) {
  const auto stages = parse_stages("10s:100,1m:500,10s:0");
  ASSERT_TRUE(stages);
  UserPlan plan;
  plan.stages = *stages;
  const std::pair<Duration, std::uint32_t> expected[] = {
      {seconds(0), 0},    {seconds(5), 50},   {seconds(10), 100}, {seconds(40), 300},
      {seconds(70), 500}, {seconds(75), 250}, {seconds(80), 0},   {seconds(99), 0}};
  for (const auto& [at, users] : expected) EXPECT_EQ(plan.users_at(at), users) << at.count();
  EXPECT_EQ(plan.most_users(), 500U);
  EXPECT_EQ(plan.settles_after(), seconds(80));
  for (const char* bad : {"", "10s", "10s:", "x:5", "10s:100,"}) EXPECT_FALSE(parse_stages(bad)) << bad;
}

TEST(Pacing, SpawnRateIsHeldAndStopsAtTheNumberOfUsers) {
  UserPlan plan;
  plan.users = 100;
  plan.spawn_rate = 10;
  EXPECT_EQ(plan.users_at(seconds(0)), 1U);
  EXPECT_EQ(plan.users_at(milliseconds(5'050)), 51U);
  EXPECT_EQ(plan.users_at(seconds(60)), 100U);
}

TEST(Pacing, ArrivalsFollowTheScheduleForeverWithoutDrift) {
  for (const double rate : {0.3, 7.0, 1000.0, 33'333.0, 1e6}) {
    const ArrivalPlan plan{rate};
    EXPECT_EQ(plan.due_ns(0), 0);
    for (const double hours : {0.01, 1.0, 24.0}) {
      const auto n = static_cast<std::uint64_t>(rate * hours * 3600);
      EXPECT_NEAR(static_cast<double>(plan.due_ns(n)), static_cast<double>(n) / rate * 1e9,
                  1.0 + 1e-6 * hours * 3.6e12 / 1e6);
    }
    for (std::uint64_t n = 0; n < 2'000; ++n) {
      EXPECT_EQ(plan.due_before(Duration{plan.due_ns(n)}), n) << rate;
      EXPECT_EQ(plan.due_before(Duration{plan.due_ns(n) + 1}), n + 1) << rate;
    }
  }
}

}  // namespace
}  // namespace flux::loadtest
