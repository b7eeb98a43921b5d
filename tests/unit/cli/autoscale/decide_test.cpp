// Bounds, stabilisation and rates, as in Kubernetes' horizontal.go; and what must hold for any input.

#include <gtest/gtest.h>

#include <random>

#include "cli/autoscale/decision.hpp"

namespace flux::autoscale {
namespace {

// An input whose only metric asks for exactly `wanted`, with nothing stabilising it.
DecisionInput asking(std::int64_t current, std::int64_t wanted) {
  DecisionInput input;
  input.current = current;
  Metric metric{MetricKind::external, "load", TargetKind::average_value, 1};
  metric.value = wanted;
  metric.tolerance = Tolerance{0, 0};
  input.metrics = {metric};
  input.history.emplace();
  return input;
}

struct BoundCase {
  std::int64_t current, wanted, min, max, expected;
  std::optional<Limit> by;
};

TEST(Decide, BoundsWithoutBehavior) {
  const BoundCase cases[]{
      {5, 7, 3, 8, 7, std::nullopt},
      {3, 1, 2, 8, 2, Limit::min},
      {5, 20, 3, 8, 8, Limit::max},
      {20, 1000, 1, 10, 10, Limit::max},          // above max: the metrics are not asked
      {2, 9, 3, 10, 3, Limit::min},               // below min: neither
      {1, 100, 1, 100, 4, Limit::scale_up_rate},  // at most max(2 x current, 4)
      {3, 500, 1, 1000, 6, Limit::scale_up_rate},
      {3, 6, 1, 1000, 6, std::nullopt},
      {100, 2, 1, 1000, 2, std::nullopt},
      {5, 0, 1, 10, 1, Limit::min},
      {5, 0, 0, 10, 0, std::nullopt},
      {0, 3, 0, 10, 3, std::nullopt},
      {0, 9, 0, 10, 4, Limit::scale_up_rate},
      {0, 9, 3, 10, 0, std::nullopt},  // TestZeroReplicas: 0 with a min above 0 means switched off
  };
  for (const auto& c : cases) {
    DecisionInput input = asking(c.current, c.wanted);
    input.min = c.min;
    input.max = c.max;
    const Decision d = decide(input);
    SCOPED_TRACE(std::to_string(c.current) + " wants " + std::to_string(c.wanted) + ": " + d.reason);
    EXPECT_EQ(d.desired, c.expected);
    EXPECT_EQ(d.limited_by, c.by);
    EXPECT_EQ(d.per_metric.empty(), c.current > c.max || c.current < c.min);
  }
}

TEST(Decide, StartsFromZeroWhenNoMinIsGiven) {
  EXPECT_EQ(decide(asking(0, 3)).desired, 3);
  EXPECT_EQ(decide(asking(3, 0)).desired, 1);
}

struct RateCase {
  const char* name;
  std::int64_t current, wanted, expected;
  std::vector<RatePolicy> policies;
  SelectPolicy select = SelectPolicy::max;
  std::vector<ScaleEvent> events{};
  std::int64_t min = 1;
  std::int64_t max = 1000;
};

TEST(Decide, LimitsTheRateByPolicies) {
  constexpr auto pods = PolicyUnit::pods;
  constexpr auto percent = PolicyUnit::percent;
  const std::vector<ScaleEvent> added{{20, 1}, {40, 5}, {60, 9}};
  const std::vector<ScaleEvent> removed{{20, -1}, {40, -5}, {60, -9}};
  const std::vector<RateCase> cases{
      {"up, defaults", 10, 500, 20, {{pods, 4, 15}, {percent, 100, 15}}},
      {"up, defaults, few pods", 2, 500, 6, {{pods, 4, 15}, {percent, 100, 15}}},
      {"up, pods above percent", 10, 500, 110, {{pods, 100, 60}, {percent, 100, 60}}},
      {"up, percent above pods", 10, 500, 20, {{pods, 2, 60}, {percent, 100, 60}}},
      {"up, max binds", 10, 500, 30, {{pods, 100, 60}}, SelectPolicy::max, {}, 1, 30},
      {"up, pods only", 10, 500, 40, {{pods, 30, 60}}},
      {"up, percent only", 10, 500, 30, {{percent, 200, 60}}},
      {"up, percent rounds up", 3, 500, 4, {{percent, 1, 60}}},
      {"up, percent rounds up as doubles do", 100, 500, 111, {{percent, 10, 60}}},
      {"up, least of both", 10, 500, 12, {{pods, 2, 60}, {percent, 100, 60}}, SelectPolicy::min},
      {"up, disabled", 10, 500, 10, {{pods, 100, 60}}, SelectPolicy::disabled},
      {"up, pods and events", 100, 500, 235, {{pods, 150, 120}}, SelectPolicy::max, added},
      {"up, percent and events", 100, 500, 255, {{percent, 200, 120}}, SelectPolicy::max, added},
      {"up, both and events",
       100,
       500,
       255,
       {{pods, 150, 120}, {percent, 200, 120}},
       SelectPolicy::max,
       added},
      {"up, nothing left never reverses", 100, 500, 100, {{pods, 5, 120}}, SelectPolicy::max, added},
      {"up, events before the period do not count",
       100,
       500,
       145,
       {{pods, 50, 30}},
       SelectPolicy::max,
       {{20, 5}, {30, 9}}},
      {"up, removals give room", 100, 500, 165, {{pods, 50, 120}}, SelectPolicy::max, removed},
      {"down, defaults", 100, 2, 2, {{percent, 100, 15}}},
      {"down, pods above percent", 100, 2, 80, {{pods, 20, 60}, {percent, 1, 60}}},
      {"down, percent truncates", 5, 1, 3, {{percent, 30, 60}}},
      {"down, pods and percent", 100, 2, 98, {{pods, 2, 60}, {percent, 1, 60}}},
      {"down, min binds", 10, 0, 1, {{pods, 100, 60}}},
      {"down, min binds above the rate", 10, 2, 5, {{percent, 100, 60}}, SelectPolicy::max, {}, 5},
      {"down, pods only", 10, 2, 5, {{pods, 5, 60}}},
      {"down, percent only", 10, 2, 5, {{percent, 50, 60}}},
      {"down, least of both", 100, 2, 99, {{pods, 20, 60}, {percent, 1, 60}}, SelectPolicy::min},
      {"down, disabled", 10, 2, 10, {{pods, 5, 60}}, SelectPolicy::disabled},
      {"down, pods and events", 100, 2, 95, {{pods, 20, 120}}, SelectPolicy::max, removed},
      {"down, percent and events", 100, 2, 57, {{percent, 50, 120}}, SelectPolicy::max, removed},
      {"down, nothing left never reverses", 100, 2, 100, {{pods, 5, 120}}, SelectPolicy::max, removed},
      {"down, additions give room", 100, 2, 65, {{pods, 20, 120}}, SelectPolicy::max, added},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    DecisionInput input = asking(c.current, c.wanted);
    input.min = c.min;
    input.max = c.max;
    input.events = c.events;
    input.behavior = Behavior{{0, c.select, c.policies}, {0, c.select, c.policies}};
    const Decision d = decide(input);
    EXPECT_EQ(d.desired, c.expected) << d.reason;
    if (d.desired == c.wanted)
      EXPECT_EQ(d.limited_by, std::nullopt);
    else if (d.desired == c.min && c.wanted < c.min)
      EXPECT_EQ(d.limited_by, Limit::min);
    else if (d.desired == c.max)
      EXPECT_EQ(d.limited_by, Limit::max);
    else
      EXPECT_EQ(d.limited_by, c.wanted > c.current ? Limit::scale_up_rate : Limit::scale_down_rate);
  }
}

struct StableCase {
  const char* name;
  std::int64_t current, wanted, expected;
  double up_s, down_s;
  std::optional<std::vector<Recommendation>> history;
};

TEST(Decide, StabilisesByThePast) {
  using History = std::vector<Recommendation>;
  const std::vector<StableCase> cases{
      {"a controller that has just started does not scale down", 5, 3, 5, 0, 300, std::nullopt},
      {"but up at once", 5, 7, 7, 0, 300, std::nullopt},
      {"nor up when the up window says so", 5, 7, 5, 60, 300, std::nullopt},
      {"nothing recommended before", 5, 3, 3, 0, 300, History{}},
      {"the highest of the window", 5, 3, 5, 0, 300, History{{120, 4}, {60, 5}}},
      {"part of the way", 10, 3, 5, 0, 300, History{{120, 4}, {60, 5}}},
      {"never above current on the way down", 5, 3, 5, 0, 300, History{{60, 12}}},
      {"lower ones do not matter", 5, 3, 3, 0, 300, History{{120, 1}, {60, 2}}},
      {"old ones do not matter", 10, 3, 3, 0, 300, History{{600, 10}, {540, 9}}},
      {"the edge of the window is outside", 10, 3, 3, 0, 300, History{{300, 10}}},
      {"old and new", 10, 3, 5, 0, 300, History{{600, 10}, {60, 4}, {120, 5}, {540, 9}}},
      {"no window, no memory", 10, 3, 3, 0, 0, History{{1, 10}}},
      {"up by the lowest of the window", 2, 10, 4, 60, 300, History{{30, 4}, {50, 6}}},
      {"up waits", 4, 10, 4, 60, 300, History{{30, 2}}},
      {"both windows", 5, 6, 6, 60, 300, History{{30, 7}, {200, 9}}},
  };
  for (const auto& c : cases) {
    DecisionInput input = asking(c.current, c.wanted);
    input.behavior.emplace();
    input.behavior->up.window_s = c.up_s;
    input.behavior->down.window_s = c.down_s;
    input.history = c.history;
    const Decision d = decide(input);
    SCOPED_TRACE(std::string(c.name) + ": " + d.reason);
    EXPECT_EQ(d.desired, c.expected);
    EXPECT_EQ(d.limited_by, c.expected == c.wanted ? std::nullopt : std::optional(Limit::stabilisation));
    EXPECT_EQ(d.recommendation, c.wanted);
  }
}

Metric load(const char* name, std::int64_t value, bool unavailable = false) {
  Metric metric{MetricKind::external, name, TargetKind::average_value, 1};
  metric.value = value;
  metric.unavailable = unavailable;
  return metric;
}

TEST(Decide, TakesTheLargestAndNeverScalesDownBlindly) {
  DecisionInput input = asking(5, 5);
  input.metrics = {load("a", 7), load("b", 9), load("c", 2)};
  EXPECT_EQ(decide(input).desired, 9);
  EXPECT_EQ(decide(input).reason, "b at 1.8 of its target asks for 9");

  input.metrics = {load("a", 9), load("b", 0, true)};
  EXPECT_EQ(decide(input).desired, 9) << "one that is missing does not forbid to scale up";

  input.metrics = {load("a", 2), load("b", 0, true)};
  Decision d = decide(input);
  EXPECT_EQ(d.desired, 5);
  EXPECT_EQ(d.limited_by, Limit::missing_metrics);
  EXPECT_EQ(d.reason, "b: unavailable; kept at 5 although a would do with 2");
  EXPECT_EQ(d.recommendation, std::nullopt);

  input.metrics = {load("b", 0, true)};
  EXPECT_EQ(decide(input).limited_by, Limit::missing_metrics);
}

TEST(Decide, SaysWhenTheToleranceKeptIt) {
  DecisionInput input = asking(10, 10);
  input.metrics = {load("a", 11)};
  EXPECT_EQ(decide(input).desired, 10);
  EXPECT_EQ(decide(input).limited_by, Limit::tolerance);
  input.metrics = {load("a", 10)};
  EXPECT_EQ(decide(input).limited_by, std::nullopt) << "exactly at its target";
}

// Any pods, samples, behaviour and past, with as many pods as replicas.
DecisionInput any_input(std::mt19937& random) {
  const auto upto = [&](std::int64_t n) { return std::uniform_int_distribution<std::int64_t>(0, n)(random); };
  DecisionInput input;
  input.current = 1 + upto(30);
  input.min = 1 + upto(10);
  input.max = *input.min + upto(40);
  input.pods.emplace();
  Metric metric{MetricKind::resource, upto(1) == 0 ? "cpu" : "memory", TargetKind::average_utilization,
                1 + upto(150)};
  if (upto(1) == 0) metric.target_kind = TargetKind::average_value;
  for (std::int64_t i = 0; i < input.current; ++i) {
    Pod pod{std::to_string(i)};
    pod.ready = upto(4) != 0;
    pod.phase = upto(9) == 0 ? PodPhase::pending : PodPhase::running;
    pod.request_milli = 1 + upto(200);
    if (upto(4) != 0) metric.samples[pod.name] = upto(300);
    input.pods->push_back(pod);
  }
  input.metrics = {metric};
  if (upto(1) == 0) {
    const auto rules = [&] {
      ScalingRules r{static_cast<double>(upto(2) * 100), static_cast<SelectPolicy>(upto(2)), {}};
      for (std::int64_t i = upto(2); i >= 0; --i)
        r.policies.push_back(
            {static_cast<PolicyUnit>(upto(1)), 1 + upto(150), static_cast<double>(1 + upto(100))});
      return r;
    };
    input.behavior = Behavior{rules(), rules()};
  }
  if (upto(2) != 0) input.history.emplace();
  for (std::int64_t i = upto(4); i > 0 && input.history; --i)
    input.history->push_back({static_cast<double>(upto(400)), upto(50)});
  for (std::int64_t i = upto(4); i > 0; --i)
    input.events.push_back({static_cast<double>(upto(100)), upto(20) - 10});
  return input;
}

TEST(Decide, NeverLeavesTheBoundsAndNeverGoesAgainstTheDirection) {
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const DecisionInput input = any_input(random);
    const Decision d = decide(input);
    SCOPED_TRACE(std::to_string(i) + ": " + d.reason);
    if (input.current >= *input.min && input.current <= *input.max) {
      ASSERT_GE(d.desired, *input.min);
      ASSERT_LE(d.desired, *input.max);
      if (d.per_metric[0].ratio && *d.per_metric[0].ratio > 1) {
        ASSERT_GE(d.desired, input.current);
      }
      if (d.per_metric[0].ratio && *d.per_metric[0].ratio < 1) {
        ASSERT_LE(d.desired, input.current);
      }
    } else {
      ASSERT_EQ(d.desired, input.current < *input.min ? *input.min : *input.max);
    }
    ASSERT_EQ(decide(input).desired, d.desired);
  }
}

TEST(Decide, IsMonotoneInTheLoad) {
  std::mt19937 random(11);
  for (int i = 0; i < 3'000; ++i) {
    DecisionInput input = any_input(random);
    std::int64_t before = 0;
    bool first = true;
    for (int step = 0; step < 12; ++step) {
      const Decision d = decide(input);
      if (d.per_metric.empty() || !d.per_metric[0].ratio) break;
      SCOPED_TRACE(std::to_string(i) + " step " + std::to_string(step) + ": " + d.reason);
      if (!first) {
        ASSERT_GE(d.desired, before);
      }
      before = d.desired;
      first = false;
      for (auto& [pod, sample] : input.metrics[0].samples) sample += 20;
    }
  }
}

}  // namespace
}  // namespace flux::autoscale
