#pragma once
// How many replicas the observed metrics ask for, by the arithmetic of the
// Kubernetes HorizontalPodAutoscaler (autoscaling/v2). Pure: everything a decision
// depends on is in its input, so that it can be stored, explained and replayed.

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flux::autoscale {

// How far a metric may be from its target before it asks for a change.
struct Tolerance {
  double up = 0.1;
  double down = 0.1;
  bool covers(double ratio) const { return 1.0 - down <= ratio && ratio <= 1.0 + up; }
};

enum class PodPhase { running, pending, failed };

inline constexpr double kLongAgo = std::numeric_limits<double>::infinity();

// Ages are seconds back from now.
struct Pod {
  std::string name;
  PodPhase phase = PodPhase::running;
  bool ready = true;
  bool deleted = false;
  std::optional<std::int64_t> request_milli{};
  double age_s = kLongAgo;          // since its start
  double ready_since_s = kLongAgo;  // since `ready` last changed, to true or to false
};

enum class MetricKind { resource, pods, object, external };
enum class TargetKind { average_utilization, average_value, value };

struct Metric {
  MetricKind kind = MetricKind::resource;
  std::string name;
  TargetKind target_kind = TargetKind::average_value;
  std::int64_t target = 1;  // percent of the request, or the unit of samples and value
  std::optional<Tolerance> tolerance{};
  std::map<std::string, std::int64_t> samples{};  // by pod; resource and pods metrics
  double sample_age_s = 0;
  double window_s = 60;    // time one sample covers; younger readiness makes a CPU sample untrue
  std::int64_t value = 0;  // object and external metrics
  bool unavailable = false;
};

enum class PolicyUnit { pods, percent };
struct RatePolicy {
  PolicyUnit unit = PolicyUnit::pods;
  std::int64_t value = 0;
  double period_s = 15;
};

enum class SelectPolicy { max, min, disabled };
struct ScalingRules {
  double window_s = 0;  // stabilisation
  SelectPolicy select = SelectPolicy::max;
  std::vector<RatePolicy> policies;
};

// Without any behaviour the rate of scaling up is bounded by max(2 x current, 4) instead.
struct Behavior {
  ScalingRules up{0, SelectPolicy::max, {{PolicyUnit::pods, 4, 15}, {PolicyUnit::percent, 100, 15}}};
  ScalingRules down{300, SelectPolicy::max, {{PolicyUnit::percent, 100, 15}}};
};

struct Recommendation {
  double age_s = 0;
  std::int64_t replicas = 0;
};

struct ScaleEvent {
  double age_s = 0;
  std::int64_t change = 0;  // replicas added (+) or removed (-)
};

struct DecisionInput {
  std::int64_t current = 0;
  std::optional<std::int64_t> min{};  // 1; 0 when current is 0 and nothing is said
  std::optional<std::int64_t> max{};  // no bound
  Tolerance tolerance{};
  std::optional<std::vector<Pod>> pods{};  // not given: every sample is of a ready pod
  std::vector<Metric> metrics;
  std::optional<Behavior> behavior{};
  // Not given: a controller that has just started, seeded with `current`.
  std::optional<std::vector<Recommendation>> history{};
  std::vector<ScaleEvent> events{};
};

enum class Limit { max, min, scale_up_rate, scale_down_rate, stabilisation, tolerance, missing_metrics };
std::string_view to_string(Limit limit);

// What one metric asks for, before bounds, stabilisation and rates.
struct Proposal {
  std::string metric;
  std::optional<double> ratio{};           // of the pods that were measured; none: not usable
  std::optional<double> adjusted_ratio{};  // with assumed values for pods without a usable sample
  std::optional<std::int64_t> desired{};
  std::optional<Limit> held_by{};  // why it keeps the current count
  std::string error{};             // why it is not usable
};

Proposal propose(const Metric& metric, const DecisionInput& input);

struct Decision {
  std::int64_t current = 0;
  std::int64_t desired = 0;
  std::string reason;
  std::vector<Proposal> per_metric{};
  std::optional<Limit> limited_by{};
  // What the metrics asked for, to be kept as history for the next decision; none
  // when the metrics were not consulted or gave no answer.
  std::optional<std::int64_t> recommendation{};
};

Decision decide(const DecisionInput& input);

}  // namespace flux::autoscale
