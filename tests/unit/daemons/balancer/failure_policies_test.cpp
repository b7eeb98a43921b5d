// What takes an upstream out and brings it back, under a clock moved by hand.

#include <gtest/gtest.h>

#include "daemons/balancer/load_policies.hpp"
#include "daemons/balancer/outlier_ejection.hpp"
#include "daemons/balancer/probe_history.hpp"

namespace flux::balancer {
namespace {

using namespace std::chrono_literals;
using State = OutlierEjection::State;

class Ejection : public testing::Test {
 protected:
  bool fail(FailureKind kind = FailureKind::unreachable) {
    return ejection.on_failure(clock.steady(), kind, 0.0);
  }
  void eject(FailureKind kind = FailureKind::unreachable) {
    while (!fail(kind)) {
    }
  }
  ManualClock clock;
  OutlierEjection ejection;
};

TEST_F(Ejection, FiveFailuresInARowEject) {
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(fail());
  EXPECT_TRUE(fail());
  EXPECT_EQ(ejection.state(), State::open);
  EXPECT_EQ(ejection.until() - clock.steady(), 30s);
}

TEST_F(Ejection, ASuccessBetweenStartsTheCountAnew) {
  for (int i = 0; i < 4; ++i) fail();
  ejection.on_success(clock.steady());
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(fail());
}

TEST_F(Ejection, OneTrialDecides) {
  eject();
  EXPECT_FALSE(ejection.take_trial(clock.steady()));
  clock.advance(30s);
  EXPECT_TRUE(ejection.take_trial(clock.steady()));
  EXPECT_EQ(ejection.state(), State::half_open);
  EXPECT_FALSE(ejection.take_trial(clock.steady())) << "only one";
  EXPECT_TRUE(ejection.on_success(clock.steady()));
  EXPECT_EQ(ejection.state(), State::closed);
}

TEST_F(Ejection, ATrialWithoutAnswerIsGivenUp) {
  eject();
  clock.advance(30s);
  ASSERT_TRUE(ejection.take_trial(clock.steady()));
  clock.advance(10s);
  EXPECT_TRUE(ejection.take_trial(clock.steady()));
}

TEST_F(Ejection, EveryTimeLongerUpToFiveMinutes) {
  for (int n = 1; n <= 12; ++n) {
    eject();
    EXPECT_EQ(ejection.until() - clock.steady(), std::min<Duration>(30s * n, 300s)) << n;
    clock.advance(300s);
    ASSERT_TRUE(ejection.take_trial(clock.steady()));
    ejection.on_success(clock.steady());
  }
}

TEST_F(Ejection, AFailedTrialEjectsAtOnce) {
  eject();
  clock.advance(30s);
  ASSERT_TRUE(ejection.take_trial(clock.steady()));
  EXPECT_TRUE(fail());
  EXPECT_EQ(ejection.until() - clock.steady(), 60s);
}

TEST_F(Ejection, HealthySweepsForget) {
  eject();
  clock.advance(30s);
  ASSERT_TRUE(ejection.take_trial(clock.steady()));
  ejection.on_success(clock.steady());
  ejection.on_healthy_sweep();
  EXPECT_EQ(ejection.times(), 0U);
  eject();
  EXPECT_EQ(ejection.until() - clock.steady(), 30s);
}

TEST_F(Ejection, JitterOnlyLengthens) {
  for (int i = 0; i < 4; ++i) ejection.on_failure(clock.steady(), FailureKind::unreachable, 0.999);
  EXPECT_TRUE(ejection.on_failure(clock.steady(), FailureKind::unreachable, 0.999));
  EXPECT_GT(ejection.until() - clock.steady(), 30s);
  EXPECT_LT(ejection.until() - clock.steady(), 33s);
}

TEST_F(Ejection, ProbesDisproveUnreachableAnd5xxOnlyWhenTheyHadFailedToo) {
  eject(FailureKind::unreachable);
  EXPECT_TRUE(ejection.on_probes_passed(false));
  EXPECT_EQ(ejection.state(), State::closed);
  eject(FailureKind::status_5xx);
  EXPECT_FALSE(ejection.on_probes_passed(false));
  EXPECT_EQ(ejection.state(), State::open);
  EXPECT_TRUE(ejection.on_probes_passed(true));
  EXPECT_EQ(ejection.state(), State::closed);
}

TEST(ProbeHistory, ThreeFailedTakeDownTwoPassedBringBack) {
  using Change = ProbeHistory::Change;
  const ProbePolicy policy;
  ProbeHistory history;
  const std::vector<std::pair<bool, Change>> steps{
      {false, Change::none}, {false, Change::none},      {true, Change::none},   {false, Change::none},
      {false, Change::none}, {false, Change::went_down}, {false, Change::none},  {true, Change::none},
      {false, Change::none}, {true, Change::none},       {true, Change::came_up}};
  for (const auto& [passed, change] : steps) EXPECT_EQ(history.record(policy, passed), change);
}

TEST(ProbeHistory, ProbesFasterWhileUndecided) {
  const ProbePolicy policy;
  ProbeHistory history;
  EXPECT_FALSE(history.in_transition());
  history.record(policy, false);
  EXPECT_TRUE(history.in_transition());
  history.record(policy, false);
  history.record(policy, false);
  EXPECT_FALSE(history.in_transition()) << "down";
  history.record(policy, true);
  EXPECT_TRUE(history.in_transition()) << "coming back";
}

TEST(RetryBudget, IsAFifthOfActiveButThreeAtLeast) {
  const RetryBudget budget;
  EXPECT_TRUE(budget.allows(0, 2));
  EXPECT_FALSE(budget.allows(0, 3));
  EXPECT_TRUE(budget.allows(100, 19));
  EXPECT_FALSE(budget.allows(100, 20));
}

TEST(SlowStart, GrowsFromATenthToAll) {
  EXPECT_DOUBLE_EQ(slow_start_share(0s, 10s), 0.1);
  EXPECT_DOUBLE_EQ(slow_start_share(5s, 10s), 0.5);
  EXPECT_DOUBLE_EQ(slow_start_share(10s, 10s), 1.0);
  EXPECT_DOUBLE_EQ(slow_start_share(1s, 0s), 1.0);
  EXPECT_NEAR(slow_start_share(2500ms, 10s, 2.0), 0.5, 1e-9);  // Envoy: (t/T)^(1/a)
}

TEST(PeakEwma, RisesAtOnceAndDecaysByE) {
  EXPECT_DOUBLE_EQ(peak_ewma(1.0, 9.0, 1s, 10s), 9.0);
  EXPECT_NEAR(peak_ewma(9.0, 1.0, 10s, 10s), 1.0 + 8.0 / 2.718281828, 1e-6);
}

}  // namespace
}  // namespace flux::balancer
