#include "daemons/runtime/circuit_breaker.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace flux::runtime {
namespace {

using namespace std::chrono_literals;
using State = CircuitBreaker::State;

struct CircuitBreakerTest : ::testing::Test {
  ManualClock clock;
  CircuitBreaker breaker{{.failures_to_open = 3, .open_for = 1s, .open_for_at_most = 3s}, clock};

  void fail(int times) {
    for (int i = 0; i < times; ++i) breaker.ask().failed();
  }
};

TEST_F(CircuitBreakerTest, OpensAfterFailuresInARowOnly) {
  fail(2);
  breaker.ask().succeeded();
  fail(2);
  EXPECT_EQ(breaker.state(), State::closed);
  fail(1);
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_FALSE(breaker.ask());
  EXPECT_FALSE(breaker.would_permit());
  EXPECT_EQ(breaker.retry_after(), 1s);
}

TEST_F(CircuitBreakerTest, LetsOneProbeThroughAndClosesOnItsSuccess) {
  fail(3);
  clock.advance(1s);
  EXPECT_TRUE(breaker.would_permit());
  auto probe = breaker.ask();
  ASSERT_TRUE(probe);
  EXPECT_EQ(breaker.state(), State::half_open);
  EXPECT_FALSE(breaker.ask());
  probe.succeeded();
  EXPECT_EQ(breaker.state(), State::closed);
  EXPECT_TRUE(breaker.ask());
}

TEST_F(CircuitBreakerTest, WaitsLongerAfterEachFailedProbeUpToALimit) {
  fail(3);
  for (const auto wait : {1s, 2s, 3s, 3s}) {
    EXPECT_EQ(breaker.retry_after(), wait);
    clock.advance(wait);
    breaker.ask().failed();
  }
  clock.advance(3s);
  breaker.ask().succeeded();
  fail(3);
  EXPECT_EQ(breaker.retry_after(), 1s);
}

TEST_F(CircuitBreakerTest, AProbeWithoutAVerdictLeavesTheNextCallerToProbe) {
  fail(3);
  clock.advance(1s);
  { const auto unused = breaker.ask(); }
  EXPECT_TRUE(breaker.ask());
}

TEST_F(CircuitBreakerTest, CallsUnderWayWhenItOpenedDoNotProlongIt) {
  auto late = breaker.ask();
  fail(3);
  clock.advance(500ms);
  late.failed();
  EXPECT_EQ(breaker.retry_after(), 500ms);
}

TEST(CircuitBreaker, GivesOneProbeToManyThreads) {
  ManualClock clock;
  CircuitBreaker breaker{{.failures_to_open = 1, .open_for = 1s}, clock};
  breaker.ask().failed();
  clock.advance(1s);
  std::atomic<int> permits{0};
  std::vector<CircuitBreaker::Permit> kept(8);
  {
    std::vector<std::jthread> threads;
    for (auto& slot : kept)
      threads.emplace_back([&] {
        slot = breaker.ask();
        if (slot) ++permits;
      });
  }
  EXPECT_EQ(permits, 1);
}

}  // namespace
}  // namespace flux::runtime
