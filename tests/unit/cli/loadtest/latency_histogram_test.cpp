#include "cli/loadtest/latency_histogram.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace flux::loadtest {
namespace {

std::vector<std::int64_t> drawn(std::uint64_t seed, double median_ns, double spread, std::size_t count) {
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> shape(std::log(median_ns), spread);
  std::vector<std::int64_t> values(count);
  for (auto& value : values) value = static_cast<std::int64_t>(shape(random));
  return values;
}

TEST(LatencyHistogram, PercentilesAreWithinThreeDigitsOfTheSortedValues) {
  const std::pair<double, double> shapes[] = {{2e3, 0.5}, {3e5, 1.0}, {5e7, 2.0}, {2e9, 1.0}};
  for (const auto& [median, spread] : shapes) {
    LatencyHistogram histogram;
    auto values = drawn(7, median, spread, 20'000);
    for (const std::int64_t value : values) histogram.record(value);
    std::sort(values.begin(), values.end());
    for (const double percent : {0.1, 1.0, 10.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0}) {
      const auto rank =
          static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(values.size()) - 1e-6));
      const auto exact = static_cast<double>(std::min(values[rank - 1], LatencyHistogram::kHighest));
      EXPECT_NEAR(static_cast<double>(histogram.percentile(percent)), exact, exact * 0.001 + 1)
          << percent << " % of median " << median;
      EXPECT_LE(histogram.percentile(percent), histogram.max());
    }
    EXPECT_EQ(histogram.min(), values.front());
    EXPECT_EQ(histogram.max(), std::min(values.back(), LatencyHistogram::kHighest));
  }
}

TEST(LatencyHistogram, KeepsASingleValueExactly) {
  for (const std::int64_t value : {0LL, 1LL, 999LL, 1'234'567LL, 2'000'000'001LL, 3'600'000'000'000LL}) {
    LatencyHistogram histogram;
    histogram.record(value);
    for (const double percent : {0.0, 50.0, 99.9, 100.0}) EXPECT_EQ(histogram.percentile(percent), value);
  }
}

TEST(LatencyHistogram, CutsValuesOutsideItsRange) {
  LatencyHistogram histogram;
  histogram.record(-5);
  histogram.record(LatencyHistogram::kHighest * 2);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.max(), LatencyHistogram::kHighest);
}

TEST(LatencyHistogram, MergingEqualsRecordingEverythingInOne) {
  LatencyHistogram whole;
  LatencyHistogram left;
  LatencyHistogram right;
  LatencyHistogram by_delta;
  const auto values = drawn(11, 4e6, 1.5, 5'000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    whole.record(values[i]);
    (i % 3 == 0 ? left : right).record(values[i]);
  }
  LatencyHistogram merged = left;
  merged.merge(right);
  by_delta.merge(left.take());
  by_delta.merge(right.take());
  EXPECT_EQ(left.count(), 0U);
  EXPECT_EQ(left.percentile(50), 0);
  for (const LatencyHistogram* each : {&merged, &by_delta}) {
    EXPECT_EQ(each->count(), whole.count());
    EXPECT_EQ(each->min(), whole.min());
    EXPECT_EQ(each->max(), whole.max());
    EXPECT_DOUBLE_EQ(each->mean(), whole.mean());
    for (const double percent : {1.0, 50.0, 99.0})
      EXPECT_EQ(each->percentile(percent), whole.percentile(percent));
  }
}

TEST(LatencyHistogram, TakingEmptiesItCompletely) {
  LatencyHistogram histogram;
  histogram.record(1'000'000);
  histogram.take();
  histogram.record(5);
  EXPECT_EQ(histogram.count(), 1U);
  EXPECT_EQ(histogram.max(), 5);
  EXPECT_EQ(histogram.count_up_to(LatencyHistogram::kHighest), 1U);
}

// The layout of HdrHistogram's outputPercentileDistribution, with five ticks per half distance.
TEST(LatencyHistogram, WritesTheHdrHistogramTextFormat) {
  LatencyHistogram histogram;
  for (int i = 1; i <= 4; ++i) histogram.record(i * 1'000'000);
  const std::string text = histogram.hgrm();
  EXPECT_THAT(text, testing::StartsWith("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
  EXPECT_THAT(text, testing::HasSubstr("       1.000 0.000000000000          1           1.00\n"));
  EXPECT_THAT(text, testing::HasSubstr("       4.000 1.000000000000          4\n"));
  EXPECT_THAT(text, testing::HasSubstr("#[Mean    =        2.500, StdDeviation   =        1.118]\n"));
  EXPECT_THAT(text, testing::HasSubstr("#[Max     =        4.000, Total count    =            4]\n"));
}

}  // namespace
}  // namespace flux::loadtest
