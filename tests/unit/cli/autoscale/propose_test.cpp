// Cases of Kubernetes' replica_calculator_test.go: levels are per container, with two
// containers a pod that request 1000m each, so a pod asks for 2000m and uses twice its level.

#include <gtest/gtest.h>

#include "cli/autoscale/decision.hpp"

namespace flux::autoscale {
namespace {

enum class State { ready, unready, no_sample, pending, deleted, failed, hot, cool };

struct Level {
  std::int64_t level = 0;
  State state = State::ready;
};

constexpr Level operator""_u(unsigned long long n) {
  return {static_cast<std::int64_t>(n), State::unready};
}
constexpr Level operator""_p(unsigned long long n) {
  return {static_cast<std::int64_t>(n), State::pending};
}
constexpr Level operator""_d(unsigned long long n) {
  return {static_cast<std::int64_t>(n), State::deleted};
}
constexpr Level operator""_f(unsigned long long n) {
  return {static_cast<std::int64_t>(n), State::failed};
}
constexpr Level operator""_hot(unsigned long long n) {
  return {static_cast<std::int64_t>(n), State::hot};
}
constexpr Level operator""_cool(unsigned long long n) {
  return {static_cast<std::int64_t>(n), State::cool};
}
constexpr Level operator""_r(unsigned long long n) {
  return {static_cast<std::int64_t>(n), State::ready};
}
constexpr Level none{0, State::no_sample};

struct Case {
  const char* name;
  std::int64_t current;
  std::vector<Level> pods;
  std::int64_t target;
  std::int64_t expected;  // -1: the metric is not usable
  std::optional<double> ratio{};
};

DecisionInput pods_of(const Case& c, const Metric& like, std::int64_t containers) {
  DecisionInput input;
  input.current = c.current;
  input.pods.emplace();
  Metric metric = like;
  metric.target = c.target;
  for (const Level& level : c.pods) {
    Pod pod{"pod-" + std::to_string(input.pods->size())};
    pod.request_milli = 1000 * containers;
    switch (level.state) {
      case State::unready: pod.ready = false; break;
      case State::pending: pod.phase = PodPhase::pending; break;
      case State::deleted: pod.deleted = true; break;
      case State::failed: pod.phase = PodPhase::failed; break;
      case State::hot: pod.age_s = pod.ready_since_s = 0; break;
      case State::cool: pod.age_s = pod.ready_since_s = 180; break;
      case State::ready:
      case State::no_sample: break;
    }
    if (level.state != State::no_sample) metric.samples[pod.name] = level.level * containers;
    input.pods->push_back(std::move(pod));
  }
  input.metrics = {metric};
  return input;
}

void check(const Case& c, const DecisionInput& input) {
  SCOPED_TRACE(c.name);
  const Proposal p = propose(input.metrics.front(), input);
  EXPECT_EQ(p.desired.value_or(-1), c.expected) << p.error;
  EXPECT_EQ(p.error.empty(), c.expected >= 0);
  if (c.ratio) {
    EXPECT_NEAR(p.ratio.value_or(-1), *c.ratio, 1e-9);
  }
}

TEST(Propose, FollowsKubernetesTableForCpuUtilisation) {
  const Metric cpu{MetricKind::resource, "cpu", TargetKind::average_utilization};
  const std::vector<Case> cases{
      {"disjoint: no sample of a known pod", 1, {none}, 100, -1},
      {"scale up", 3, {300_r, 500_r, 700_r}, 30, 5, 50.0 / 30},
      {"unready means a smaller step", 3, {300_u, 500_r, 700_r}, 30, 4, 60.0 / 30},
      {"hot pods mean a smaller step", 3, {300_hot, 500_r, 700_r}, 30, 4, 60.0 / 30},
      {"unready means no step", 3, {400_r, 500_u, 700_u}, 30, 3, 40.0 / 30},
      {"hot pods mean no step", 3, {400_hot, 500_hot, 700_r}, 30, 3, 70.0 / 30},
      {"pending pods are set aside", 3, {300_r, 500_p, 900_r}, 30, 4, 60.0 / 30},
      {"failed pods are ignored", 2, {500_r, 700_r, 900_f, 900_f}, 50, 3, 60.0 / 50},
      {"deleted pods are ignored", 2, {500_r, 700_r, 900_d, 900_d}, 50, 3, 60.0 / 50},
      {"cool pods count", 3, {300_cool, 500_cool, 700_cool}, 30, 5, 50.0 / 30},
      {"scale down", 5, {100_r, 300_r, 500_r, 250_r, 250_r}, 50, 3, 28.0 / 50},
      {"scale down without the unready", 5, {100_r, 300_r, 500_r, 250_u, 250_u}, 50, 2, 30.0 / 50},
      {"scale down without the hot", 5, {100_r, 300_r, 500_r, 250_hot, 250_hot}, 50, 2, 30.0 / 50},
      {"scale down, deleted pods", 5, {100_r, 300_r, 500_r, 250_r, 250_r, 0_d, 0_d}, 50, 3, 28.0 / 50},
      {"two missing on the way down", 4, {400_r, 95_r, none, none}, 100, 3, 24.0 / 100},
      {"missing at the target", 2, {1000_r, none}, 100, 2, 1.0},
      {"missing at the edge of the tolerance", 2, {990_r, none}, 100, 2, 99.0 / 100},
      {"missing above the edge", 2, {1900_r, none}, 100, 2, 190.0 / 100},
      {"missing above, target 120", 2, {1900_r, none}, 120, 2, 190.0 / 120},
      {"unready and missing", 3, {100_u, 450_r, none}, 50, 3, 45.0 / 50},
      {"unready, hot and missing", 4, {100_hot, 450_r, none, 450_r}, 50, 4, 45.0 / 50},
      {"only unready pods", 2, {100_u, 100_u}, 50, -1},
      {"no pods", 1, {}, 50, -1},
  };
  for (const Case& c : cases) check(c, pods_of(c, cpu, 2));
}

TEST(Propose, TruncatesUtilisationAndKeepsWithinTolerance) {
  const Metric cpu{MetricKind::resource, "cpu", TargetKind::average_utilization, 100};
  DecisionInput input;
  input.current = 3;
  input.pods = std::vector<Pod>{Pod{"a"}, Pod{"b"}, Pod{"c"}};
  const std::int64_t requests[]{900, 1000, 1100};
  const std::int64_t uses[]{1010, 1030, 1020};  // TestReplicaCalcTolerance: 102 %
  Metric metric = cpu;
  for (std::size_t i = 0; i < 3; ++i) {
    (*input.pods)[i].request_milli = requests[i];
    metric.samples[(*input.pods)[i].name] = uses[i];
  }
  const Proposal p = propose(metric, input);
  EXPECT_EQ(p.desired, 3);
  EXPECT_DOUBLE_EQ(*p.ratio, 1.02);
  EXPECT_EQ(p.held_by, Limit::tolerance);

  metric.tolerance = Tolerance{0.01, 0.01};
  EXPECT_EQ(propose(metric, input).desired, 4);
}

TEST(Propose, DoesNotUseSamplesOfUnknownPods) {
  // TestReplicaCalcSuperfluousMetrics: 4 pods, 6 samples, 587 % of 100 %.
  const Metric cpu{MetricKind::resource, "cpu", TargetKind::average_utilization};
  Case c{"superfluous", 4, {4000_r, 9500_r, 3000_r, 7000_r}, 100, 24, 5.87};
  DecisionInput input = pods_of(c, cpu, 1);
  input.metrics[0].samples["gone-1"] = 3200;
  input.metrics[0].samples["gone-2"] = 2000;
  check(c, input);
}

TEST(Propose, NeedsTheRequestOfEveryPodForUtilisation) {
  Metric cpu{MetricKind::resource, "cpu", TargetKind::average_utilization};
  DecisionInput input = pods_of({"", 1, {200_r}, 100, -1}, cpu, 2);
  (*input.pods)[0].request_milli.reset();
  EXPECT_EQ(propose(input.metrics[0], input).error,
            "pod pod-0 has no request_milli, so there is no utilisation");
  (*input.pods)[0].request_milli = 0;
  EXPECT_FALSE(propose(input.metrics[0], input).desired.has_value());
}

TEST(Propose, FollowsKubernetesTableForRawMetrics) {
  const Metric qps{MetricKind::pods, "qps", TargetKind::average_value};
  const std::vector<Case> cases{
      {"scale up", 3, {20000_r, 10000_r, 30000_r}, 15000, 4, 20.0 / 15},
      {"readiness does not matter for raw metrics", 3, {50000_u, 10000_r, 30000_r}, 15000, 6, 2.0},
      {"hot CPU does not matter for raw metrics",
       3,
       {50000_hot, 15000_r, 30000_r},
       15000,
       7,
       31666.0 / 15000},
      {"pending pods are set aside", 3, {20000_r, 10000_p, 30000_r}, 15000, 4, 25.0 / 15},
      {"scale down", 5, {12000_r, 12000_r, 12000_r, 12000_r, 12000_r}, 20000, 3, 12.0 / 20},
      {"tolerance", 3, {20000_r, 21000_r, 21000_r}, 20000, 3, 20666.0 / 20000},
      {"the mean truncates", 3, {1_r, 1_r, 2_r}, 1, 3, 1.0},
      {"missing on the way down count as the target", 4, {1000_r, 1000_r, none, none}, 10000, 3, 0.1},
      {"missing on the way up count as nothing", 2, {40000_r, none}, 10000, 4, 4.0},
      {"missing reverse the step", 2, {15000_r, none}, 10000, 2, 1.5},
      {"missing at the target change nothing", 2, {10000_r, none}, 10000, 2, 1.0},
  };
  for (const Case& c : cases) check(c, pods_of(c, qps, 1));
}

struct ValueCase {
  const char* name;
  std::int64_t current;
  std::int64_t ready;  // of `current` pods
  TargetKind kind;
  std::int64_t value;
  std::int64_t target;
  std::int64_t expected;
};

TEST(Propose, FollowsKubernetesTableForObjectAndExternalMetrics) {
  constexpr auto total = TargetKind::value;
  constexpr auto per_pod = TargetKind::average_value;
  const std::vector<ValueCase> cases{
      {"object up", 3, 3, total, 20000, 15000, 4},
      {"object from zero", 0, 0, total, 20000, 15000, 2},
      {"object to zero", 0, 0, total, 0, 15000, 0},
      {"object without a change", 2, 2, total, 20000, 20000, 2},
      {"object per pod up", 3, 3, per_pod, 20000, 5000, 4},
      {"object per pod from zero", 0, 0, per_pod, 20000, 10000, 2},
      {"object per pod from zero, nothing to do", 0, 0, per_pod, 0, 10000, 0},
      {"object per pod down", 5, 5, per_pod, 6000, 2000, 3},
      {"external up", 1, 1, total, 8600, 4400, 2},
      {"external, one of three ready", 3, 1, total, 8600, 4400, 2},
      {"external down", 5, 5, total, 8600, 14334, 3},
      {"external without a change", 1, 1, total, 8600, 9500, 1},
      {"external per pod up", 3, 3, per_pod, 8600, 2150, 4},
      {"external per pod down", 5, 5, per_pod, 8600, 2867, 3},
  };
  for (const ValueCase& c : cases) {
    SCOPED_TRACE(c.name);
    DecisionInput input;
    input.current = c.current;
    input.pods.emplace();
    for (std::int64_t i = 0; i < c.current; ++i) {
      Pod pod{std::to_string(i)};
      pod.ready = i < c.ready;
      input.pods->push_back(pod);
    }
    Metric metric{MetricKind::external, "m", c.kind, c.target};
    metric.value = c.value;
    EXPECT_EQ(propose(metric, input).desired, c.expected);
    if (c.ready != c.current) continue;
    input.pods.reset();  // nothing said about pods: all are ready
    EXPECT_EQ(propose(metric, input).desired, c.expected);
  }
}

TEST(Propose, SaturatesInsteadOfOverflowing) {
  DecisionInput input;
  input.current = 2'000'000'000;
  Metric metric{MetricKind::external, "m", TargetKind::value, 1};
  metric.value = 1'000'000'000'000;
  EXPECT_EQ(propose(metric, input).desired, std::numeric_limits<std::int32_t>::max());
}

// Kubernetes' TestGroupPods: which CPU samples count. Ages in seconds back from now.
TEST(Propose, SetsAsideCpuSamplesOfPodsThatStart) {
  struct Sample {
    const char* name;
    bool ready;
    double age_s, ready_since_s, sample_age_s, window_s;
    bool counts;
  };
  const Sample cases[]{
      {"ready, fresh sample, initialising", true, 60, 30, 0, 30, true},
      {"ready, sample of before readiness, initialising", true, 60, 30, 0, 60, false},
      {"unready, initialising", false, 600 - 480, 54, 0, 30, false},
      {"ready, old sample, after initialising", true, 600, 180, 120, 60, true},
      {"was ready, after initialising", false, 600, 180, 0, 60, true},
      {"never ready, after initialising", false, 600, 594, 0, 60, false},
      {"never ready, start unknown", false, kLongAgo, kLongAgo, 0, 60, false},
      {"ready, start unknown", true, kLongAgo, kLongAgo, 0, 60, true},
  };
  for (const Sample& c : cases) {
    SCOPED_TRACE(c.name);
    DecisionInput input;
    input.current = 1;
    Pod pod{"a"};
    pod.ready = c.ready;
    pod.age_s = c.age_s;
    pod.ready_since_s = c.ready_since_s;
    pod.request_milli = 1000;
    input.pods = std::vector<Pod>{pod};
    Metric metric{MetricKind::resource, "cpu", TargetKind::average_utilization, 50};
    metric.samples["a"] = 1000;
    metric.sample_age_s = c.sample_age_s;
    metric.window_s = c.window_s;
    EXPECT_EQ(propose(metric, input).desired.has_value(), c.counts);
    metric.name = "memory";  // readiness is a matter of CPU only
    EXPECT_TRUE(propose(metric, input).desired.has_value());
  }
}

}  // namespace
}  // namespace flux::autoscale
