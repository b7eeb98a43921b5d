#include "common/core/error.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "common/core/clock.hpp"
#include "common/core/exit_code.hpp"
#include "common/core/result.hpp"

namespace flux {
namespace {

using namespace std::chrono_literals;

TEST(Error, IsOneLineWithItsHint) {
  EXPECT_EQ((Error{Errc::internal, "it broke"}).one_line(), "it broke");
  EXPECT_EQ((Error{Errc::internal, "it broke", "mend it"}).one_line(), "it broke; mend it");
}

TEST(Error, HasADistinctNameForEveryCode) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Errc::internal); ++code)
    names.insert(to_string(static_cast<Errc>(code)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Errc::internal) + 1);
}

TEST(Result, ThrowsItsSentenceWhenAnErrorIsReadAsAValue) {
  const Result<int> failed = Error{Errc::not_found, "no such order", "look again"};
  EXPECT_THROW(
      {
        try {
          (void)failed.value();
        } catch (const std::runtime_error& e) {
          EXPECT_STREQ(e.what(), "no such order; look again");
          throw;
        }
      },
      std::runtime_error);
}

// The table that scripts rely on.
TEST(ExitCode, FollowsTheContract) {
  const std::map<Errc, int> expected{
      {Errc::invalid_argument, 2}, {Errc::not_found, 1}, {Errc::already_exists, 1}, {Errc::conflict, 1},
      {Errc::sold_out, 1},         {Errc::fenced, 1},    {Errc::unavailable, 5},    {Errc::timed_out, 5},
      {Errc::maybe_persisted, 1},  {Errc::exhausted, 1}, {Errc::corrupted, 1},      {Errc::refused, 4},
      {Errc::threshold, 3},        {Errc::not_valid, 6}, {Errc::unauthorized, 5},   {Errc::forbidden, 1},
      {Errc::interrupted, 130},    {Errc::internal, 1}};
  EXPECT_EQ(expected.size(), static_cast<std::size_t>(Errc::internal) + 1);
  for (const auto& [code, exit] : expected)
    EXPECT_EQ(static_cast<int>(exit_code_of(code)), exit) << to_string(code);
  EXPECT_EQ(static_cast<int>(ExitCode::terminated), 143);
}

TEST(ManualClock, MovesOnlyWhenToldAndBothTimesTogether) {
  ManualClock clock{from_unix_ms(1'000)};
  const auto steady = clock.steady();
  EXPECT_EQ(unix_ms(clock.wall()), 1'000);
  clock.advance(250ms);
  EXPECT_EQ(unix_ms(clock.wall()), 1'250);
  EXPECT_EQ(clock.steady() - steady, 250ms);
}

TEST(SystemClock, SteadyTimeNeverGoesBack) {
  auto last = system_clock().steady();
  for (int i = 0; i < 1000; ++i) {
    const auto now = system_clock().steady();
    ASSERT_LE(last, now);
    last = now;
  }
}

TEST(UnixTime, ReadsBackInMillisecondsAndMicroseconds) {
  for (const std::int64_t n : {std::int64_t{0}, std::int64_t{1645557742000}, std::int64_t{-1}}) {
    EXPECT_EQ(unix_ms(from_unix_ms(n)), n);
    EXPECT_EQ(unix_us(from_unix_us(n)), n);
  }
  EXPECT_EQ(unix_ms(from_unix_us(1999)), 1);
  EXPECT_EQ(unix_ms(from_unix_us(-1)), -1);  // downwards on both sides of the epoch
}

}  // namespace
}  // namespace flux
