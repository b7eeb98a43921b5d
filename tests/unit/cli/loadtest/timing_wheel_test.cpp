#include "cli/loadtest/timing_wheel.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace flux::loadtest {
namespace {

constexpr std::int64_t kTick = 1 << 14;

TEST(TimingWheel, FiresNothingEarlyAndEverythingWithinATick) {
  std::mt19937_64 random(3);
  const std::int64_t start = 1'000'000'007;
  TimingWheel wheel(start);
  std::map<std::uint32_t, std::int64_t> due;
  const std::int64_t ranges[] = {100'000, 20'000'000, 5'000'000'000, 400'000'000'000};
  for (std::uint32_t id = 0; id < 4'000; ++id) {
    due[id] = start + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(ranges[id % 4]));
    wheel.set(id, due[id]);
  }
  std::int64_t now = start;
  std::int64_t before = start;
  while (!due.empty()) {
    const std::int64_t next = wheel.next_due();
    ASSERT_NE(next, TimingWheel::kNever);
    ASSERT_GT(next, before);
    now = next;
    wheel.advance(now, [&](std::uint32_t id) {
      ASSERT_TRUE(due.contains(id));
      EXPECT_LE(due[id], now);
      EXPECT_GT(due[id] + 2 * kTick, now) << "timer " << id << " fired late";
      due.erase(id);
    });
    before = now;
  }
  EXPECT_EQ(wheel.next_due(), TimingWheel::kNever);
}

TEST(TimingWheel, CatchesUpAfterALongPause) {
  TimingWheel wheel(0);
  for (std::uint32_t id = 0; id < 100; ++id) wheel.set(id, id * 77'777'777LL);
  std::vector<std::uint32_t> fired;
  wheel.advance(100'000'000'000, [&](std::uint32_t id) { fired.push_back(id); });
  ASSERT_EQ(fired.size(), 100U);
  EXPECT_TRUE(std::is_sorted(fired.begin(), fired.end()));
}

TEST(TimingWheel, DoesNotFireWhatWasCancelledOrMoved) {
  TimingWheel wheel(0);
  wheel.set(1, 1'000'000);
  wheel.set(2, 1'000'000);
  wheel.set(3, 1'000'000);
  wheel.cancel(1);
  wheel.set(2, 9'000'000);
  std::vector<std::uint32_t> fired;
  const auto note = [&](std::uint32_t id) { fired.push_back(id); };
  wheel.advance(5'000'000, note);
  EXPECT_EQ(fired, std::vector<std::uint32_t>{3});
  EXPECT_FALSE(wheel.pending(1));
  EXPECT_TRUE(wheel.pending(2));
  wheel.advance(10'000'000, note);
  EXPECT_EQ(fired, (std::vector<std::uint32_t>{3, 2}));
}

TEST(TimingWheel, TimersSetWhileFiringFireLater) {
  TimingWheel wheel(0);
  wheel.set(0, 1'000'000);
  int fired = 0;
  const auto again = [&](std::uint32_t id) {
    if (++fired < 50) wheel.set(id, fired * 3'000'000LL);
  };
  for (std::int64_t now = 0; now < 200'000'000; now += 50'000) wheel.advance(now, again);
  EXPECT_EQ(fired, 50);
}

TEST(TimingWheel, AgreesWithASortedMapOverRandomOperations) {
  std::mt19937_64 random(5);
  TimingWheel wheel(0);
  std::map<std::uint32_t, std::int64_t> due;
  std::int64_t now = 0;
  for (int round = 0; round < 20'000; ++round) {
    const auto id = static_cast<std::uint32_t>(random() % 200);
    if (random() % 4 == 0) {
      wheel.cancel(id);
      due.erase(id);
    } else {
      const std::int64_t when = now + static_cast<std::int64_t>(random() % (1ULL << (10 + random() % 26)));
      wheel.set(id, when);
      due[id] = when;
    }
    now += static_cast<std::int64_t>(random() % 3'000'000);
    wheel.advance(now, [&](std::uint32_t fired) {
      ASSERT_TRUE(due.contains(fired));
      EXPECT_LE(due[fired], now);
      due.erase(fired);
    });
    for (const auto& [left, when] : due)
      ASSERT_GT(when + 2 * kTick, now) << "timer " << left << " was forgotten";
  }
}

}  // namespace
}  // namespace flux::loadtest
