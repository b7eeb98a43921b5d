#include "common/core/units.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <optional>

namespace flux {
namespace {

using namespace std::chrono_literals;

template <class T>
struct Case {
  const char* text;
  std::optional<T> value;
};

template <class T, class Parse>
void expect_each(std::initializer_list<Case<T>> cases, Parse parse) {
  for (const auto& [text, value] : cases) {
    const auto parsed = parse(text);
    ASSERT_EQ(parsed.has_value(), value.has_value()) << "'" << text << "'";
    if (value) {
      EXPECT_EQ(*parsed, *value) << text;
    } else {
      EXPECT_EQ(parsed.error().code, Errc::invalid_argument);
      EXPECT_NE(parsed.error().message.find(text), std::string::npos);
      EXPECT_FALSE(parsed.error().hint.empty());
    }
  }
}

TEST(ParseDuration, ReadsWhatPeopleWrite) {
  expect_each<Duration>({{"500ms", 500ms},
                         {"2s", 2s},
                         {"1m", 1min},
                         {"1h", 1h},
                         {"1m30s", 90s},
                         {"1.5s", 1500ms},
                         {".5s", 500ms},
                         {"250us", 250us},
                         {"7ns", 7ns},
                         {"2d", 48h},
                         {"0", 0s},
                         {"0s", 0s}},
                        parse_duration);
}

TEST(ParseDuration, RefusesTheRest) {
  const auto none = std::nullopt;
  expect_each<Duration>({{"", none},
                         {"5", none},
                         {"s", none},
                         {"5 s", none},
                         {"-1s", none},
                         {"1s2", none},
                         {"1.5.5s", none},
                         {"5sec", none},
                         {"1e3s", none},
                         {"infs", none},
                         {"nan", none},
                         {"999999999h", none}},
                        parse_duration);
}

TEST(ParseSize, KnowsDecimalAndBinaryUnits) {
  const auto none = std::nullopt;
  expect_each<std::uint64_t>({{"64KiB", 65536},
                              {"10MB", 10'000'000},
                              {"1GiB", 1ULL << 30},
                              {"2TiB", 2ULL << 40},
                              {"256Mi", 256ULL << 20},
                              {"512", 512},
                              {"512B", 512},
                              {"1.5KiB", 1536},
                              {"0", 0},
                              {"", none},
                              {"-1", none},
                              {"10 MB", none},
                              {"10Mb", none},
                              {"MB", none},
                              {"99999999999TiB", none}},
                             parse_size);
}

TEST(ParseCount, TakesWholeNumbersOnly) {
  const auto none = std::nullopt;
  expect_each<std::uint64_t>({{"500", 500},
                              {"10k", 10'000},
                              {"10K", 10'000},
                              {"1.5M", 1'500'000},
                              {"2.3k", 2'300},
                              {"0", 0},
                              {"1.5", none},
                              {"1.0005k", none},
                              {"-3", none},
                              {"ten", none},
                              {"1e3", none},
                              {"99999999999999999999", none}},
                             parse_count);
}

TEST(ParsePercent, ReadsPercentAndFraction) {
  EXPECT_DOUBLE_EQ(*parse_percent("0.1%"), 0.001);
  EXPECT_DOUBLE_EQ(*parse_percent("0.001"), 0.001);
  EXPECT_DOUBLE_EQ(*parse_percent("99%"), 0.99);
  EXPECT_DOUBLE_EQ(*parse_percent("0"), 0);
  for (const char* text : {"", "%", "a%", "1 %", "-1%"}) EXPECT_FALSE(parse_percent(text)) << text;
}

TEST(FormatDuration, IsShortAndNeverInExponents) {
  const std::pair<Duration, const char*> cases[] = {
      {0ns, "0ns"},        {999ns, "999ns"}, {1500ns, "1.5us"}, {500ms, "500ms"},   {1234567us, "1.23s"},
      {999400us, "999ms"}, {999600us, "1s"}, {999600ns, "1ms"}, {59900ms, "59.9s"}, {150s, "2m30s"},
      {120s, "2m"},        {3600s, "1h"},    {3660s, "1h1m"},   {-500ms, "-500ms"}, {100ms, "100ms"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(format_duration(value), text);
}

TEST(FormatSize, GrowsThroughBinaryUnits) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(65536), "64.0 KiB");
  EXPECT_EQ(format_size(1536ULL << 20), "1.5 GiB");
  EXPECT_EQ(format_size(std::numeric_limits<std::uint64_t>::max()), "16777216.0 TiB");
}

TEST(FormatCount, IsShortAndNeverInExponents) {
  const std::pair<double, const char*> cases[] = {
      {0, "0"},        {12, "12"},  {1234, "1234"}, {9999.6, "10000"}, {12345, "12.35k"}, {999999, "1000k"},
      {1.5e6, "1.5M"}, {2e9, "2G"}, {0.25, "0.25"}, {-20000, "-20k"},  {3e14, "300000G"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(format_count(value), text);
}

}  // namespace
}  // namespace flux
