#include "common/core/ids.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <set>
#include <thread>
#include <vector>

namespace flux {
namespace {

// RFC 9562, appendix A.6: "Tuesday, February 22, 2022 2:22:22.00 PM GMT-05:00".
constexpr std::string_view kRfcExample = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
constexpr std::int64_t kRfcUnixMs = 0x017F22E279B0;

TEST(Uuid, ReadsTheTimeOfTheRfc9562Example) {
  const auto id = Uuid::parse(kRfcExample);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->unix_ms(), kRfcUnixMs);
  EXPECT_EQ(id->unix_ms(), 1645557742000);
  EXPECT_EQ(id->to_string(), kRfcExample);
}

TEST(Uuid, ReadsUpperCaseAndPrintsLowerCase) {
  EXPECT_EQ(Uuid::parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")->to_string(), kRfcExample);
}

TEST(Uuid, RefusesWhatIsNotAUuid) {
  for (const char* text :
       {"", "017f22e2", "017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e279b07cc398c4dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", "017f22e2-79b0-7cc3-98c4+dc0c0c07398f",
        "g17f22e2-79b0-7cc3-98c4-dc0c0c07398f", "{17f22e2-79b0-7cc3-98c4-dc0c0c07398}"})
    EXPECT_FALSE(Uuid::parse(text)) << text;
}

TEST(NewUuid, HasTheLayoutOfVersion7) {
  std::thread([] {  // a thread of its own: ids never go back in time within one
    const ManualClock clock{from_unix_ms(kRfcUnixMs)};
    for (int i = 0; i < 1000; ++i) {
      const std::string text = new_uuid(clock).to_string();
      ASSERT_EQ(text.substr(0, 13), "017f22e2-79b0") << text;                    // 48 bits of milliseconds
      ASSERT_EQ(text[14], '7') << text;                                          // version
      ASSERT_NE(std::string("89ab").find(text[19]), std::string::npos) << text;  // variant 0b10
    }
  })
      .join();
}

TEST(NewUuid, IncreasesWithinAThreadEvenWhenTheClockStandsOrGoesBack) {
  std::thread([] {
    const ManualClock later{from_unix_ms(kRfcUnixMs)};
    const ManualClock earlier{from_unix_ms(kRfcUnixMs - 60'000)};
    Uuid last = new_uuid(later);
    for (int i = 0; i < 100'000; ++i) {
      const Uuid next = new_uuid(i % 2 == 0 ? later : earlier);
      ASSERT_LT(last, next);
      ASSERT_LT(last.to_string(), next.to_string());
      last = next;
    }
  }).join();
}

TEST(NewUuid, OrdersIdsOfDifferentThreadsByTheirMillisecond) {
  std::vector<Uuid> ids;
  for (int ms = 0; ms < 20; ++ms)
    std::thread([&] { ids.push_back(new_uuid(ManualClock{from_unix_ms(kRfcUnixMs + ms)})); }).join();
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
}

TEST(NewUuid, IsUniqueAcrossThreads) {
  constexpr std::size_t kThreads = 8, kEach = 20'000;
  std::array<std::vector<Uuid>, kThreads> made;
  {
    std::vector<std::jthread> threads;
    for (auto& mine : made)
      threads.emplace_back([&mine] {
        for (std::size_t i = 0; i < kEach; ++i) mine.push_back(new_uuid());
      });
  }
  std::set<Uuid> all;
  for (const auto& mine : made) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(all.size(), kThreads * kEach);
}

TEST(NewUuid, IsNotRepeatedByAForkedChild) {
  const ManualClock clock{from_unix_ms(kRfcUnixMs)};
  (void)new_uuid(clock);
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Uuid id = new_uuid(clock);
    const auto written = write(pipe_ends[1], id.bytes.data(), id.bytes.size());
    _exit(written == 16 ? 0 : 1);
  }
  const Uuid ours = new_uuid(clock);
  Uuid theirs;
  ASSERT_EQ(read(pipe_ends[0], theirs.bytes.data(), theirs.bytes.size()), 16);
  int status = 0;
  waitpid(child, &status, 0);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  EXPECT_NE(ours, theirs);
}

}  // namespace
}  // namespace flux
