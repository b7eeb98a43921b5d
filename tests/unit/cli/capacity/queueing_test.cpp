#include "cli/capacity/queueing.hpp"

#include <gtest/gtest.h>

namespace flux::capacity {
namespace {

struct ErlangCase {
  std::int64_t servers;
  double erlangs, b, c;
};

// Closed forms of textbooks.
TEST(Queueing, MatchesErlangsFormulas) {
  const ErlangCase cases[]{
      {1, 0.5, 1.0 / 3, 0.5}, {2, 1, 0.2, 1.0 / 3}, {3, 2, 4.0 / 19, 4.0 / 9}, {2, 2, 0.4, 1}, {1, 1, 0.5, 1},
  };
  for (const auto& c : cases) {
    EXPECT_NEAR(erlang_b(c.servers, c.erlangs), c.b, 1e-12);
    EXPECT_NEAR(erlang_c(c.servers, c.erlangs), c.c, 1e-12);
  }
}

TEST(Queueing, MatchesTheTwoServerExample) {
  const auto q = mmc_queue(9, 5, 2);
  ASSERT_TRUE(q);
  EXPECT_NEAR(q->utilization, 0.9, 1e-12);
  EXPECT_NEAR(q->lq, 7.674, 5e-4);
  EXPECT_NEAR(q->wq, 7.674 / 9, 1e-4);
  EXPECT_NEAR(q->l, q->lq + 1.8, 1e-9);
  EXPECT_NEAR(q->w, q->wq + 0.2, 1e-12);
  EXPECT_NEAR(q->l, little(9, q->w), 1e-12);
}

TEST(Queueing, AgreesWithTheClosedFormOfOneServer) {
  for (const double rho : {0.01, 0.3, 0.5, 0.9, 0.999}) {
    const auto q = mmc_queue(rho * 10, 10, 1);
    ASSERT_TRUE(q);
    EXPECT_NEAR(q->p_wait, rho, 1e-12);
    EXPECT_NEAR(q->l / (rho / (1 - rho)), 1, 1e-9);
    // Kingman is exact for exponential times.
    EXPECT_NEAR(*kingman_wait(rho, 1, 1, 0.1) / q->wq, 1, 1e-9);
  }
}

TEST(Queueing, StaysFiniteWithManyServers) {
  const auto q = mmc_queue(99'999, 1, 100'000);
  ASSERT_TRUE(q);
  EXPECT_GT(q->p_wait, 0.9);
  EXPECT_LT(q->p_wait, 1);
}

TEST(Queueing, SaysHowManyServersAnOverloadNeeds) {
  const auto q = mmc_queue(20, 5, 2);
  ASSERT_FALSE(q);
  EXPECT_EQ(q.error().code, Errc::invalid_argument);
  EXPECT_EQ(q.error().message,
            "overload: 20/s arrive and 2 servers serve 10/s (utilization 2), so the queue grows for ever");
  EXPECT_EQ(q.error().hint, "use at least 5 servers, or serve faster");
  EXPECT_FALSE(mmc_queue(10, 5, 2)) << "exactly full is an overload too";
  EXPECT_FALSE(mmc_queue(0, 5, 2));
  EXPECT_FALSE(mmc_queue(1, -5, 2));
  EXPECT_FALSE(mmc_queue(1, 5, 0));
  EXPECT_FALSE(kingman_wait(1, 1, 1, 1));
}

TEST(Queueing, SizesPools) {
  EXPECT_EQ(useful_connections(4, 1), 9);  // HikariCP's example
  EXPECT_EQ(deadlock_floor(3, 4), 10);
  EXPECT_EQ(parallel_work(10, 12), 10);
  EXPECT_EQ(parallel_work(30, 12), 12);
}

}  // namespace
}  // namespace flux::capacity
