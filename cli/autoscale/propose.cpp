// The replica calculator: one metric in, one replica count out.

#include <algorithm>
#include <cmath>
#include <set>

#include "cli/autoscale/decision.hpp"

namespace flux::autoscale {
namespace {

__extension__ using Wide = __int128;

constexpr double kMostReplicas = std::numeric_limits<std::int32_t>::max();
constexpr double kCpuInitialisation_s = 300;  // a starting pod's CPU says nothing about its load
constexpr double kReadinessDelay_s = 30;      // a pod that lost readiness later than this was ready once

std::int64_t ceil_replicas(double n) {
  return static_cast<std::int64_t>(std::min(std::ceil(n), kMostReplicas));
}

// Use of the pods that count, added up as integers: the averages truncate as Kubernetes' do.
class Usage {
 public:
  explicit Usage(const Metric& metric) : metric_(metric) {}

  void add(std::int64_t use, std::int64_t request) {
    use_ += use;
    request_ += request;
    ++pods_;
  }
  std::int64_t pods() const { return pods_; }
  std::optional<double> ratio() const {
    const bool utilisation = metric_.target_kind == TargetKind::average_utilization;
    const Wide divisor = utilisation ? request_ : Wide{pods_};
    if (divisor == 0) return std::nullopt;
    const Wide average = (utilisation ? use_ * 100 : use_) / divisor;
    return static_cast<double>(average) / static_cast<double>(metric_.target);
  }

 private:
  const Metric& metric_;
  Wide use_ = 0;
  Wide request_ = 0;
  std::int64_t pods_ = 0;
};

struct PodGroups {
  std::vector<const Pod*> ready;
  std::vector<const Pod*> unready;
  std::vector<const Pod*> missing;
};

// The pod does run, but its CPU sample is from its start or from a pod that never served.
bool cpu_sample_is_untrue(const Pod& pod, const Metric& metric) {
  if (pod.age_s < kCpuInitialisation_s)
    return !pod.ready || pod.ready_since_s - metric.sample_age_s < metric.window_s;
  if (pod.ready) return false;
  // Never ready: readiness has not changed since the delay after the start.
  return !(pod.age_s - pod.ready_since_s >= kReadinessDelay_s);  // also when both are unknown
}

PodGroups group(const std::vector<Pod>& pods, const Metric& metric) {
  const bool cpu = metric.kind == MetricKind::resource && metric.name == "cpu";
  PodGroups groups;
  for (const Pod& pod : pods) {
    if (pod.deleted || pod.phase == PodPhase::failed) continue;
    if (pod.phase == PodPhase::pending ||
        (cpu && metric.samples.contains(pod.name) && cpu_sample_is_untrue(pod, metric)))
      groups.unready.push_back(&pod);
    else if (!metric.samples.contains(pod.name))
      groups.missing.push_back(&pod);
    else
      groups.ready.push_back(&pod);
  }
  return groups;
}

// Without a list of pods, everything that was measured is a ready pod.
std::vector<Pod> measured_pods(const std::vector<Metric>& metrics) {
  std::set<std::string> names;
  for (const Metric& metric : metrics)
    for (const auto& [name, sample] : metric.samples) names.insert(name);
  std::vector<Pod> pods;
  for (const std::string& name : names) pods.push_back(Pod{name});
  return pods;
}

std::optional<std::string> request_problem(const std::vector<Pod>& pods) {
  if (pods.empty()) return "there are no pods";
  std::int64_t total = 0;
  for (const Pod& pod : pods) {
    if (pod.deleted || pod.phase == PodPhase::failed) continue;
    if (!pod.request_milli) return "pod " + pod.name + " has no request_milli, so there is no utilisation";
    total += *pod.request_milli;
  }
  return total == 0 ? std::optional<std::string>("the requests of the pods add up to nothing") : std::nullopt;
}

Proposal keep(Proposal proposal, std::int64_t current, Limit because) {
  proposal.desired = current;
  if (proposal.ratio != 1.0 || proposal.adjusted_ratio) proposal.held_by = because;
  return proposal;
}

// What a pod without a usable sample is assumed to use: the answer that changes least.
std::int64_t assumed_use(const Metric& metric, const Pod& pod, double ratio) {
  if (ratio > 1.0) return 0;
  if (metric.target_kind != TargetKind::average_utilization) return metric.target;
  return static_cast<std::int64_t>(Wide{*pod.request_milli} * std::max<std::int64_t>(100, metric.target) /
                                   100);
}

Proposal from_pods(const Metric& metric, const DecisionInput& input, const std::vector<Pod>& pods,
                   const Tolerance& tolerance) {
  Proposal proposal{metric.name};
  if (metric.target_kind == TargetKind::average_utilization)
    if (const auto problem = request_problem(pods)) {
      proposal.error = *problem;
      return proposal;
    }
  const PodGroups groups = group(pods, metric);
  Usage usage(metric);
  const auto request = [](const Pod& pod) { return pod.request_milli.value_or(0); };
  for (const Pod* pod : groups.ready) usage.add(metric.samples.at(pod->name), request(*pod));
  const auto measured = usage.ratio();
  if (!measured) {
    proposal.error = groups.unready.empty() ? "no pod has a sample" : "no ready pod has a sample";
    return proposal;
  }
  const double ratio = *measured;
  proposal.ratio = ratio;
  const bool up_with_unready = !groups.unready.empty() && ratio > 1.0;
  if (!up_with_unready && groups.missing.empty()) {
    if (tolerance.covers(ratio)) return keep(proposal, input.current, Limit::tolerance);
    proposal.desired = ceil_replicas(ratio * static_cast<double>(usage.pods()));
    return proposal;
  }

  if (ratio != 1.0)
    for (const Pod* pod : groups.missing) usage.add(assumed_use(metric, *pod, ratio), request(*pod));
  if (up_with_unready)
    for (const Pod* pod : groups.unready) usage.add(0, request(*pod));
  const double adjusted = *usage.ratio();
  if (ratio != 1.0) proposal.adjusted_ratio = adjusted;
  const bool flipped = (ratio < 1.0 && adjusted > 1.0) || (ratio > 1.0 && adjusted < 1.0);
  if (tolerance.covers(ratio) && tolerance.covers(adjusted))
    return keep(proposal, input.current, Limit::tolerance);
  if (flipped || tolerance.covers(adjusted)) return keep(proposal, input.current, Limit::missing_metrics);
  const std::int64_t desired = ceil_replicas(adjusted * static_cast<double>(usage.pods()));
  if ((adjusted < 1.0 && desired > input.current) || (adjusted > 1.0 && desired < input.current))
    return keep(proposal, input.current, Limit::missing_metrics);
  proposal.desired = desired;
  return proposal;
}

// The value of the whole, e.g. of a queue: the ready pods share it.
Proposal from_value(const Metric& metric, const DecisionInput& input, const Tolerance& tolerance) {
  Proposal proposal{metric.name};
  const double ratio = static_cast<double>(metric.value) / static_cast<double>(metric.target);
  if (input.current == 0) {
    proposal.ratio = ratio;
    proposal.desired = ceil_replicas(ratio);
    return proposal;
  }
  if (tolerance.covers(ratio)) {
    proposal.ratio = ratio;
    return keep(proposal, input.current, Limit::tolerance);
  }
  std::int64_t ready = input.current;
  if (input.pods) {
    if (input.pods->empty()) {
      proposal.error = "there are no pods, so nobody knows how many share the value";
      return proposal;
    }
    ready = std::ranges::count_if(*input.pods, [](const Pod& pod) {
      return pod.phase == PodPhase::running && pod.ready && !pod.deleted;
    });
  }
  proposal.ratio = ratio;
  proposal.desired = ceil_replicas(ratio * static_cast<double>(ready));
  return proposal;
}

// The value of the whole against a target for each replica.
Proposal from_average_of_value(const Metric& metric, const DecisionInput& input, const Tolerance& tolerance) {
  Proposal proposal{metric.name};
  const double value = static_cast<double>(metric.value);
  const double target = static_cast<double>(metric.target);
  if (input.current == 0) {
    proposal.ratio = value / target;
    proposal.desired = ceil_replicas(value / target);
    return proposal;
  }
  proposal.ratio = value / (target * static_cast<double>(input.current));
  if (tolerance.covers(*proposal.ratio)) return keep(proposal, input.current, Limit::tolerance);
  proposal.desired = ceil_replicas(value / target);
  return proposal;
}

}  // namespace

Proposal propose(const Metric& metric, const DecisionInput& input) {
  if (metric.unavailable) {
    Proposal proposal{metric.name};
    proposal.error = "unavailable";
    return proposal;
  }
  const Tolerance tolerance = metric.tolerance.value_or(input.tolerance);
  switch (metric.kind) {
    case MetricKind::resource:
    case MetricKind::pods:
      return from_pods(metric, input, input.pods ? *input.pods : measured_pods(input.metrics), tolerance);
    case MetricKind::object:
    case MetricKind::external: break;
  }
  return metric.target_kind == TargetKind::value ? from_value(metric, input, tolerance)
                                                 : from_average_of_value(metric, input, tolerance);
}

}  // namespace flux::autoscale
