#include "daemons/balancer/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace flux::balancer {
namespace {

struct Alarm final : Timer {
  explicit Alarm(const std::int64_t& now) : clock(now) {}
  void on_deadline() override { rang_at = clock; }
  const std::int64_t& clock;
  std::int64_t rang_at = -1;
};

class Wheel : public testing::Test {
 protected:
  Wheel() : wheel(std::make_unique<TimerWheel>()) { wheel->start(now); }
  void advance(std::int64_t to) {
    while (now < to) wheel->expire(now = std::min<std::int64_t>(to, now + 7));
  }
  std::int64_t now = 1'000'000;
  std::unique_ptr<TimerWheel> wheel;
};

TEST_F(Wheel, RingsNeverEarlyAndSoonAfter) {
  std::mt19937_64 random(3);
  std::vector<std::unique_ptr<Alarm>> alarms;
  std::vector<std::int64_t> due;
  for (int i = 0; i < 500; ++i) {
    due.push_back(now + 1 + static_cast<std::int64_t>(random() % 100'000));  // three rounds
    alarms.push_back(std::make_unique<Alarm>(now));
    alarms.back()->set_deadline(*wheel, due.back());
  }
  advance(now + 101'000);
  for (std::size_t i = 0; i < alarms.size(); ++i) {
    EXPECT_GE(alarms[i]->rang_at, due[i]);
    EXPECT_LE(alarms[i]->rang_at, due[i] + 32);
  }
}

TEST_F(Wheel, LaterAndEarlierDeadlinesReplaceTheFirst) {
  Alarm later(now), earlier(now), cleared(now);
  later.set_deadline(*wheel, now + 100);
  later.set_deadline(*wheel, now + 500);
  earlier.set_deadline(*wheel, now + 5000);
  earlier.set_deadline(*wheel, now + 100);
  cleared.set_deadline(*wheel, now + 100);
  cleared.clear_deadline();
  const auto start = now;
  advance(now + 1000);
  EXPECT_GE(later.rang_at, start + 500);
  EXPECT_LE(earlier.rang_at, start + 140);
  EXPECT_EQ(cleared.rang_at, -1);
}

TEST_F(Wheel, SleepsUntilTheNextDeadline) {
  EXPECT_EQ(wheel->wait_ms(now), 1000);
  Alarm alarm(now);
  alarm.set_deadline(*wheel, now + 200);
  EXPECT_GE(wheel->wait_ms(now), 200 - 16);
  EXPECT_LE(wheel->wait_ms(now), 232);
}

TEST_F(Wheel, DestroyedTimersAreForgotten) {
  {
    Alarm gone(now);
    gone.set_deadline(*wheel, now + 50);
  }
  advance(now + 200);
  EXPECT_EQ(wheel->wait_ms(now), 1000);
}

}  // namespace
}  // namespace flux::balancer
