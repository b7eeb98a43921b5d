#include "cli/loadtest/comparison.hpp"

#include <gmock/gmock.h>

#include <random>

#include "cli/loadtest/live_panel.hpp"
#include "cli/loadtest/result.hpp"
#include "cli/loadtest/summary_text.hpp"

namespace flux::loadtest {
namespace {

// Twenty seconds around these values, each second off by up to `noise`.
RunResult run_with(double rps, double p95, double noise, std::uint64_t errors, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> wobble(1, noise);
  RunResult r;
  r.target = "t";
  r.scenario = "s";
  r.duration_s = 20;
  r.rps = rps;
  r.requests = static_cast<std::uint64_t>(rps * 20);
  r.errors = errors;
  r.latency.response.p50 = p95 / 3;
  r.latency.response.p95 = p95;
  r.latency.response.p99 = p95 * 2;
  for (int t = 1; t <= 20; ++t) {
    TimelinePoint point;
    point.t_s = t;
    point.rps = rps * wobble(random);
    point.p50 = p95 / 3 * wobble(random);
    point.p95 = p95 * wobble(random);
    point.p99 = p95 * 2 * wobble(random);
    r.timeline.push_back(point);
  }
  return r;
}

const MetricChange& change_of(const Comparison& comparison, const std::string& metric) {
  for (const MetricChange& change : comparison.changes)
    if (change.metric == metric) return change;
  throw std::runtime_error(metric);
}

TEST(Comparison, TwoRunsOfTheSameAreTheSame) {
  int alarms = 0;
  for (unsigned seed = 0; seed < 100; ++seed)
    if (compare_results(run_with(1000, 20, 0.1, 0, seed), run_with(1000, 20, 0.1, 0, seed + 1000)).verdict !=
        "same")
      ++alarms;
  EXPECT_LE(alarms, 4);
}

TEST(Comparison, SeesARealChangeThroughTheNoise) {
  const Comparison slower = compare_results(run_with(1000, 20, 0.05, 0, 1), run_with(850, 26, 0.05, 0, 2));
  EXPECT_EQ(slower.verdict, "worse");
  EXPECT_TRUE(change_of(slower, "p95").significant);
  EXPECT_FALSE(change_of(slower, "p95").better);
  EXPECT_NEAR(change_of(slower, "rps").change, -0.15, 0.001);
  const Comparison faster = compare_results(run_with(850, 26, 0.05, 0, 1), run_with(1000, 20, 0.05, 0, 2));
  EXPECT_EQ(faster.verdict, "better");
  const Comparison mixed = compare_results(run_with(1000, 20, 0.02, 0, 1), run_with(1500, 40, 0.02, 0, 2));
  EXPECT_EQ(mixed.verdict, "mixed");
}

TEST(Comparison, ErrorsAreComparedAsProportions) {
  const RunResult clean = run_with(1000, 20, 0.05, 0, 1);
  EXPECT_FALSE(change_of(compare_results(clean, run_with(1000, 20, 0.05, 2, 2)), "error_rate").significant);
  EXPECT_TRUE(change_of(compare_results(clean, run_with(1000, 20, 0.05, 200, 2)), "error_rate").significant);
}

TEST(Comparison, SaysWhyTwoRunsMayNotCompare) {
  RunResult a = run_with(1000, 20, 0.05, 0, 1);
  RunResult b = run_with(1000, 20, 0.05, 0, 2);
  b.users = 7;
  b.generator.verdict = Verdict::generator_bound;
  const std::string text = comparison_text(compare_results(a, b), false);
  EXPECT_THAT(text, testing::HasSubstr("number of users differs: 0 and 7"));
  EXPECT_THAT(text, testing::HasSubstr("generator_bound"));
}

TEST(LivePanel, SparklinesRiseWithTheirValues) {
  EXPECT_EQ(sparkline({0, 50, 100}, 10), "▁▄█");
  EXPECT_EQ(sparkline({1, 2, 3, 4}, 2), "▆█");
  EXPECT_EQ(sparkline({}, 10), "");
  EXPECT_EQ(sparkline({0, 0}, 10), "▁▁");
}

TEST(LivePanel, ShowsUsersRateLatencyErrorsAndKeys) {
  const std::vector<TimelinePoint> timeline = run_with(1000, 20, 0.01, 0, 3).timeline;
  LiveView view;
  view.elapsed_s = 15;
  view.run_time_s = 30;
  view.users = 123;
  view.requests = 1000;
  view.errors = 10;
  view.timeline = &timeline;
  const auto lines = render_panel(view, "orders on http://t", 80, false);
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  for (const char* part :
       {"orders on http://t", "15s of 30s", "users    123", "rps ", "p95 ", "10 of 1000 (1%)", "q stop"})
    EXPECT_THAT(all, testing::HasSubstr(part));
  EXPECT_EQ(all.find('\x1b'), std::string::npos) << "no colour was asked for";
  EXPECT_THAT(progress_line(view), testing::StartsWith("15s  123 users  "));
}

TEST(SummaryText, PrintsThresholdsFirstAndBothTimesSideBySide) {
  RunResult r = run_with(1000, 20, 0.01, 5, 3);
  r.thresholds = {{"p95<10ms", 20, false}, {"error_rate<1%", 0.0005, true}};
  r.errors_by_kind = {{"timeout", 5}};
  r.latency.service.p50 = 1.5;
  r.generator.verdict = Verdict::generator_bound;
  r.generator.reasons = {"too late"};
  r.rate = RateReport{2000, 1000, 3, false};
  const std::string text = summary_text(r, false);
  EXPECT_LT(text.find("✗ p95<10ms   20.0 ms"), text.find("Latency"));
  EXPECT_THAT(text, testing::HasSubstr("✓ error_rate<1%   0.05%"));
  EXPECT_THAT(text, testing::ContainsRegex("p50 +1.50 ms +6.67 ms"));
  EXPECT_THAT(text, testing::HasSubstr("timeout 5"));
  EXPECT_THAT(text, testing::HasSubstr("GENERATOR-BOUND"));
  EXPECT_THAT(text, testing::HasSubstr("rate not met"));
}

}  // namespace
}  // namespace flux::loadtest
