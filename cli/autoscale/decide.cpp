// From what the metrics ask for to a replica count: bounds, stabilisation, rates.

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/autoscale/decision.hpp"

namespace flux::autoscale {
namespace {

constexpr std::int64_t kMostReplicas = std::numeric_limits<std::int32_t>::max();

std::string printed(double ratio) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", ratio);
  return text;
}

std::string count(std::int64_t n) {
  return std::to_string(n);
}

struct Bounded {
  std::int64_t replicas = 0;
  std::optional<Limit> by{};
};

// Brings `current` to where all recommendations of both windows agree that it may be.
Bounded stabilise(const DecisionInput& input, const Behavior& behavior, std::int64_t wanted) {
  std::int64_t lower = wanted;
  std::int64_t upper = wanted;
  const auto consider = [&](double age_s, std::int64_t replicas) {
    if (age_s < behavior.up.window_s) lower = std::min(lower, replicas);
    if (age_s < behavior.down.window_s) upper = std::max(upper, replicas);
  };
  if (input.history)
    for (const Recommendation& r : *input.history) consider(r.age_s, r.replicas);
  else
    consider(0, input.current);
  const std::int64_t kept = std::min(std::max(input.current, lower), upper);
  return {kept, kept == wanted ? std::nullopt : std::optional(Limit::stabilisation)};
}

std::int64_t at_start_of_period(const DecisionInput& input, double period_s) {
  std::int64_t replicas = input.current;
  for (const ScaleEvent& event : input.events)
    if (event.age_s < period_s) replicas -= event.change;
  return replicas;
}

std::int64_t up_limit(const DecisionInput& input, const ScalingRules& rules) {
  if (rules.select == SelectPolicy::disabled) return input.current;
  std::optional<std::int64_t> limit;
  for (const RatePolicy& policy : rules.policies) {
    const std::int64_t start = at_start_of_period(input, policy.period_s);
    const double grown =
        policy.unit == PolicyUnit::pods
            ? static_cast<double>(start + policy.value)
            : std::ceil(static_cast<double>(start) * (1 + static_cast<double>(policy.value) / 100));
    const auto proposed = static_cast<std::int64_t>(std::min(grown, static_cast<double>(kMostReplicas)));
    limit = !limit                              ? proposed
            : rules.select == SelectPolicy::max ? std::max(*limit, proposed)
                                                : std::min(*limit, proposed);
  }
  return std::max(limit.value_or(input.current), input.current);
}

std::int64_t down_limit(const DecisionInput& input, const ScalingRules& rules) {
  if (rules.select == SelectPolicy::disabled) return input.current;
  std::optional<std::int64_t> limit;
  for (const RatePolicy& policy : rules.policies) {
    const std::int64_t start = at_start_of_period(input, policy.period_s);
    const auto proposed = policy.unit == PolicyUnit::pods
                              ? start - policy.value
                              : static_cast<std::int64_t>(static_cast<double>(start) *
                                                          (1 - static_cast<double>(policy.value) / 100));
    limit = !limit                              ? proposed
            : rules.select == SelectPolicy::max ? std::min(*limit, proposed)
                                                : std::max(*limit, proposed);
  }
  return std::min(limit.value_or(input.current), input.current);
}

// Rates and bounds; where both bind, the tighter one is named.
Bounded bound(const DecisionInput& input, std::int64_t min, std::int64_t max, std::int64_t wanted) {
  if (wanted > input.current) {
    const std::int64_t rate =
        input.behavior ? up_limit(input, input.behavior->up) : std::max<std::int64_t>(2 * input.current, 4);
    const std::int64_t most = std::min(max, rate);
    if (wanted > most) return {most, max > rate ? Limit::scale_up_rate : Limit::max};
  } else if (wanted < input.current) {
    const std::int64_t rate = input.behavior ? down_limit(input, input.behavior->down) : 0;
    const std::int64_t least = std::max(min, rate);
    if (wanted < least) return {least, min < rate ? Limit::scale_down_rate : Limit::min};
  }
  return {wanted};
}

std::string why_limited(Limit limit, std::int64_t current, std::int64_t desired) {
  const std::string result =
      desired == current ? "kept at " + count(desired) : "limited to " + count(desired);
  switch (limit) {
    case Limit::max: return result + " by max";
    case Limit::min: return result + " by min";
    case Limit::scale_up_rate: return result + " by the scale-up rate";
    case Limit::scale_down_rate: return result + " by the scale-down rate";
    case Limit::stabilisation: return result + " by recent recommendations (stabilisation)";
    case Limit::tolerance: return result + ": the ratio is within the tolerance";
    case Limit::missing_metrics:
      return result + ": what the pods without a usable sample do could reverse it";
  }
  return result;
}

// The usable proposal that asks for most; an unusable one must not let others scale down.
struct Recommended {
  const Proposal* top = nullptr;
  const Proposal* unusable = nullptr;
};

Recommended recommend(const std::vector<Proposal>& proposals) {
  Recommended result;
  for (const Proposal& p : proposals) {
    if (!p.desired) {
      if (result.unusable == nullptr) result.unusable = &p;
    } else if (result.top == nullptr || *p.desired > *result.top->desired) {
      result.top = &p;
    }
  }
  return result;
}

Decision outside(const DecisionInput& input, std::int64_t to, std::string reason, std::optional<Limit> by) {
  Decision decision{input.current, to, std::move(reason)};
  decision.limited_by = by;
  return decision;
}

}  // namespace

std::string_view to_string(Limit limit) {
  switch (limit) {
    case Limit::max: return "max";
    case Limit::min: return "min";
    case Limit::scale_up_rate: return "scale_up_rate";
    case Limit::scale_down_rate: return "scale_down_rate";
    case Limit::stabilisation: return "stabilisation";
    case Limit::tolerance: return "tolerance";
    case Limit::missing_metrics: return "missing_metrics";
  }
  return "max";
}

Decision decide(const DecisionInput& input) {
  const std::int64_t current = input.current;
  const std::int64_t min = input.min.value_or(current == 0 ? 0 : 1);
  const std::int64_t max = input.max.value_or(kMostReplicas);
  if (current == 0 && min != 0)
    return outside(input, 0, "scaling is switched off: current is 0 and min is " + count(min), std::nullopt);
  if (current > max)
    return outside(input, max, "current " + count(current) + " is above max " + count(max), Limit::max);
  if (current < min)
    return outside(input, min, "current " + count(current) + " is below min " + count(min), Limit::min);

  Decision decision{current, current, {}};
  for (const Metric& metric : input.metrics) decision.per_metric.push_back(propose(metric, input));
  const auto [top, unusable] = recommend(decision.per_metric);
  if (top == nullptr || (unusable != nullptr && *top->desired < current)) {
    decision.limited_by = Limit::missing_metrics;
    decision.reason = unusable == nullptr
                          ? "no metrics, kept at " + count(current)
                          : unusable->metric + ": " + unusable->error + "; kept at " + count(current);
    if (top != nullptr)
      decision.reason += " although " + top->metric + " would do with " + count(*top->desired);
    return decision;
  }

  const std::int64_t wanted = *top->desired;
  decision.recommendation = wanted;
  decision.limited_by = top->held_by;
  const Bounded stable = stabilise(input, input.behavior.value_or(Behavior{}), wanted);
  if (stable.by) decision.limited_by = stable.by;
  const Bounded bounded = bound(input, min, max, stable.replicas);
  if (bounded.by) decision.limited_by = bounded.by;
  decision.desired = bounded.replicas;

  decision.reason = top->metric + " at " + printed(top->ratio.value_or(0)) + " of its target";
  if (top->adjusted_ratio)
    decision.reason += " (" + printed(*top->adjusted_ratio) + " with the pods without a usable sample)";
  if (wanted != current) decision.reason += " asks for " + count(wanted);
  if (decision.limited_by)
    decision.reason += ", " + why_limited(*decision.limited_by, current, decision.desired);
  else if (decision.desired == current)
    decision.reason += ", kept at " + count(current);
  return decision;
}

}  // namespace flux::autoscale
