#include "cli/capacity/scalability_fit.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <random>

namespace flux::capacity {
namespace {

// SPEC SDM91 of Gunther's Guerrilla Capacity Planning, fitted by the R package usl.
const std::vector<LoadPoint> kSpecSdm91{{1, 64.9},     {18, 995.9},   {36, 1652.4}, {72, 1853.2},
                                        {108, 1828.9}, {144, 1775.0}, {216, 1702.2}};

TEST(ScalabilityFit, MatchesThePublishedFitOfSpecSdm91) {
  const auto fit = fit_scalability(kSpecSdm91);
  ASSERT_TRUE(fit);
  EXPECT_NEAR(fit->alpha, 0.0277285, 5e-8);
  EXPECT_NEAR(fit->beta, 0.0001044, 5e-8);
  EXPECT_NEAR(fit->gamma, 89.995, 5e-4);
  EXPECT_NEAR(*fit->peak_n, 96.52, 5e-3);
  EXPECT_NEAR(*fit->peak_throughput, 1884, 0.5);
  EXPECT_NEAR(*fit->roof, 89.995 / 0.0277285, 0.1);
  EXPECT_GT(fit->r2, 0.98);
  EXPECT_TRUE(fit->notes.empty()) << fit->notes.front();
  for (const auto& [interval, value] : {std::pair{fit->ci.alpha, fit->alpha},
                                        {fit->ci.beta, fit->beta},
                                        {fit->ci.gamma, fit->gamma},
                                        {fit->ci.peak_n, *fit->peak_n},
                                        {fit->ci.peak_throughput, *fit->peak_throughput}}) {
    EXPECT_LT(interval.low, value);
    EXPECT_GT(interval.high.value_or(0), value);
  }
}

struct Curve {
  double alpha, beta, gamma;
};

std::vector<LoadPoint> sampled(const Curve& c, std::initializer_list<double> loads) {
  std::vector<LoadPoint> points;
  for (const double n : loads)
    points.push_back({n, c.gamma * n / (1 + c.alpha * (n - 1) + c.beta * n * (n - 1))});
  return points;
}

TEST(ScalabilityFit, FindsTheParametersOfExactCurves) {
  const Curve curves[]{{0.05, 1e-4, 1000}, {0.3, 0.01, 3}, {0, 1e-6, 5e5},  {0.02, 0, 80},
                       {0, 0, 10},         {1, 0, 50},     {1e-5, 1e-9, 7}, {0.9, 0.5, 1}};
  for (const Curve& c : curves) {
    SCOPED_TRACE(std::to_string(c.alpha) + " " + std::to_string(c.beta));
    const auto fit = fit_scalability(sampled(c, {1, 2, 4, 8, 16, 32, 64, 128}));
    ASSERT_TRUE(fit);
    EXPECT_NEAR(fit->alpha, c.alpha, 1e-6);
    EXPECT_NEAR(fit->beta, c.beta, 1e-6 * std::max(1e-2, c.beta));
    EXPECT_NEAR(fit->gamma / c.gamma, 1, 1e-5);
    EXPECT_NEAR(fit->throughput_at(100), c.gamma * 100 / (1 + c.alpha * 99 + c.beta * 9900),
                1e-4 * c.gamma * 100);
  }
}

// Raytracer of Gunther's book: throughput flattens but never falls, so beta stays at its bound.
TEST(ScalabilityFit, HasARoofButNoPeakWithoutAFall) {
  const std::vector<LoadPoint> points{{1, 20},   {4, 78},   {8, 130},  {12, 170}, {16, 190}, {20, 200},
                                      {24, 210}, {28, 230}, {32, 260}, {48, 280}, {64, 310}};
  const auto fit = fit_scalability(points);
  ASSERT_TRUE(fit);
  EXPECT_EQ(fit->beta, 0);
  EXPECT_NEAR(fit->alpha, 0.05777, 5e-6);
  EXPECT_NEAR(fit->gamma, 21.849, 5e-4);
  EXPECT_EQ(fit->peak_n, std::nullopt);
  EXPECT_EQ(fit->peak_throughput, fit->roof);
  EXPECT_LT(fit->ci.peak_throughput.low, *fit->roof);
  EXPECT_GT(fit->ci.peak_throughput.high.value_or(0), *fit->roof);
  EXPECT_GT(fit->ci.peak_throughput.low, 100) << "the interval says something";
}

TEST(ScalabilityFit, StaysInBoundsWhenThroughputGrowsFasterThanLoad) {
  std::vector<LoadPoint> points;
  for (const double n : {1., 2., 4., 8., 16., 32.}) points.push_back({n, 10 * std::pow(n, 1.2)});
  const auto fit = fit_scalability(points);
  ASSERT_TRUE(fit);
  EXPECT_EQ(fit->alpha, 0);
  EXPECT_EQ(fit->beta, 0);
  EXPECT_EQ(fit->peak_n, std::nullopt);
  EXPECT_EQ(fit->roof, std::nullopt);
  EXPECT_FALSE(fit->notes.empty());
}

TEST(ScalabilityFit, SaysWhatTheDataDoesNotCarry) {
  const auto fit = fit_scalability(sampled({0.02, 1e-5, 100}, {1, 2, 4, 8, 16, 32}));
  ASSERT_TRUE(fit);
  EXPECT_NEAR(*fit->peak_n, 313, 1);
  ASSERT_FALSE(fit->notes.empty());
  EXPECT_NE(fit->notes.back().find("beyond the largest measured n of 32"), std::string::npos);
}

TEST(ScalabilityFit, RefusesTooFewPoints) {
  for (const auto& points :
       {sampled({0.1, 0, 1}, {1, 2, 3, 4, 5}), sampled({0.1, 0, 1}, {1, 1, 1, 2, 2, 3})}) {
    const auto fit = fit_scalability(points);
    ASSERT_FALSE(fit);
    EXPECT_EQ(fit.error().code, Errc::invalid_argument);
    EXPECT_NE(fit.error().message.find("at least 6 points"), std::string::npos);
  }
}

TEST(ScalabilityFit, CoversTheTruthWithItsIntervals) {
  const Curve truth{0.05, 2e-4, 1000};
  std::mt19937 random(3);
  std::normal_distribution<double> noise(0, 100);
  int alpha = 0, beta = 0, gamma = 0, peak = 0;
  constexpr int kRuns = 300;
  for (int i = 0; i < kRuns; ++i) {
    auto points = sampled(truth, {1, 4, 16, 32, 64, 96, 128, 192, 256});
    for (auto& p : points) p.throughput = std::max(1.0, p.throughput + noise(random));
    const auto fit = fit_scalability(points);
    ASSERT_TRUE(fit);
    const auto covers = [](const Interval& interval, double value) {
      return interval.low <= value && value <= interval.high.value_or(1e300);
    };
    alpha += covers(fit->ci.alpha, truth.alpha);
    beta += covers(fit->ci.beta, truth.beta);
    gamma += covers(fit->ci.gamma, truth.gamma);
    peak += covers(fit->ci.peak_n, std::sqrt(0.95 / 2e-4));
  }
  // 95 % of 300 is 285; four standard errors are 15.
  for (const int covered : {alpha, beta, gamma, peak}) EXPECT_GE(covered, 265);
}

TEST(ScalabilityFit, WritesTheShapeOfTheContract) {
  const auto out = boost::json::parse(to_json(*fit_scalability(kSpecSdm91))).as_object();
  for (const char* key : {"alpha", "beta", "gamma", "peak_n", "peak_throughput", "roof", "r2", "ci"})
    EXPECT_TRUE(out.contains(key)) << key;
  EXPECT_EQ(out.at("ci").at("alpha").as_array().size(), 2U);
}

TEST(LoadPoints, ReadsCsvAsPeopleWriteIt) {
  const std::pair<const char*, std::vector<double>> cases[]{
      {"n,throughput\n1,10\n2,19.5\n", {1, 10, 2, 19.5}},
      {"\xEF\xBB\xBF# measured\r\n\"Throughput\", host, \"N\"\r\n10,a,1\r\n\r\n1.95e1,b,2", {1, 10, 2, 19.5}},
      {"1;10\n2;20\n", {1, 10, 2, 20}},
      {"1\t10\n", {1, 10}},
      {"", {}},
  };
  for (const auto& [csv, expected] : cases) {
    const auto points = parse_load_points(csv, "run.csv");
    ASSERT_TRUE(points) << points.error().one_line();
    std::vector<double> numbers;
    for (const auto& p : *points) numbers.insert(numbers.end(), {p.n, p.throughput});
    EXPECT_EQ(numbers, expected) << csv;
  }
}

// Any positive points: bounds hold and every figure is a number.
TEST(ScalabilityFit, StaysInBoundsForAnyPoints) {
  std::mt19937 random(9);
  std::uniform_real_distribution<double> exponent(-3, 6);
  for (int i = 0; i < 300; ++i) {
    std::vector<LoadPoint> points;
    for (int k = 0; k < 6 + i % 5; ++k)
      points.push_back({1 + std::pow(10, exponent(random)), std::pow(10, exponent(random))});
    const auto fit = fit_scalability(points);
    ASSERT_TRUE(fit);
    for (const double share : {fit->alpha, fit->beta}) {
      ASSERT_GE(share, 0);
      ASSERT_LE(share, 1);
    }
    ASSERT_TRUE(std::isfinite(fit->gamma) && fit->gamma > 0);
    ASSERT_LE(fit->r2, 1);
    for (const auto& interval :
         {fit->ci.alpha, fit->ci.beta, fit->ci.gamma, fit->ci.peak_n, fit->ci.peak_throughput})
      ASSERT_TRUE(std::isfinite(interval.low) && std::isfinite(interval.high.value_or(0)));
    if (fit->peak_n) {
      ASSERT_GE(*fit->peak_n, 1);
    }
  }
}

TEST(LoadPoints, NamesTheLineThatIsWrong) {
  const std::pair<const char*, const char*> cases[]{
      {"n,throughput\n1,10\n2,fast\n", "run.csv:3: throughput is not a number above 0: 'fast'"},
      {"n,rps\n1,10\n", "run.csv:1: the header has no column 'throughput'"},
      {"users,throughput\n", "run.csv:1: the header has no column 'n'"},
      {"n,throughput\n\n1\n", "run.csv:3: there is no throughput"},
      {"1,10\n0,5\n", "run.csv:2: n is not a number above 0: '0'"},
      {"1,10\n2,-5\n", "run.csv:2: throughput is not a number above 0: '-5'"},
      {"1,10\n2,nan\n", "run.csv:2: throughput is not a number above 0: 'nan'"},
      {"1,10\n0.5,5\n", "run.csv:2: n is below 1"},
      {"1,10\n2,5x\n", "run.csv:2: throughput is not a number above 0: '5x'"},
  };
  for (const auto& [csv, expected] : cases) {
    const auto points = parse_load_points(csv, "run.csv");
    ASSERT_FALSE(points) << csv;
    EXPECT_EQ(points.error().message, expected);
    EXPECT_EQ(points.error().code, Errc::invalid_argument);
  }
}

}  // namespace
}  // namespace flux::capacity
