#include "cli/autoscale/decision_document.hpp"

#include <boost/json.hpp>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <set>
#include <utility>

#include "common/http/strict_json.hpp"

namespace flux::autoscale {
namespace {

namespace json = boost::json;

constexpr double kMostReplicas = std::numeric_limits<std::int32_t>::max();
constexpr double kLargest = 1e12;  // of a sample, value or target
constexpr double kLongest_s = 1e10;

template <class T>
using Choices = std::initializer_list<std::pair<std::string_view, T>>;

// The fields of one object with the types this document has; the first error wins.
class Fields {
 public:
  Fields(const json::value& value, std::string where) : fields_(value, where.empty() ? "" : where + ".") {
    where_ = std::move(where);
  }

  const json::value* take(std::string_view name) { return fields_.take(name); }
  bool has(std::string_view name) const { return fields_.has(name); }
  void fail(std::string_view name, const std::string& why) { fields_.fail(name, why); }
  std::string path(std::string_view name) const {
    return where_.empty() ? std::string(name) : where_ + "." + std::string(name);
  }

  void read(std::string_view name, double low, double high, double& out) {
    if (const auto* value = take(name)) {
      const double number = value->is_number() ? value->to_number<double>() : std::nan("");
      if (!(number >= low && number <= high))
        fail(name, "must be a number from " + printed(low) + " to " + printed(high));
      else
        out = number;
    }
  }
  template <class Int>
  void read_whole(std::string_view name, double low, double high, Int& out) {
    double number = 0;
    if (!has(name)) {
      take(name);
      return;
    }
    read(name, low, high, number);
    if (number != std::floor(number)) fail(name, "must be a whole number");
    out = static_cast<std::int64_t>(number);
  }
  void read(std::string_view name, bool& out) {
    if (const auto* value = take(name)) {
      if (value->is_bool())
        out = value->get_bool();
      else
        fail(name, "must be true or false");
    }
  }
  void read_name(std::string& out) { fields_.read("name", 1024, out); }

  template <class T>
  void read(std::string_view name, Choices<T> choices, T& out) {
    const auto* value = take(name);
    if (value == nullptr) return;
    std::string names;
    for (const auto& [text, choice] : choices) {
      if (value->is_string() && std::string_view(value->get_string()) == text) {
        out = choice;
        return;
      }
      names.append(names.empty() ? "" : ", ").append(text);
    }
    fail(name, "must be one of " + names);
  }
  void section(std::string_view name, const std::function<void(Fields&)>& read_it) {
    if (const auto* value = take(name)) nested(*value, path(name), read_it);
  }
  // True when the list is there.
  bool each(std::string_view name, const std::function<void(Fields&)>& read_it) {
    const auto* value = take(name);
    if (value == nullptr) return false;
    if (!value->is_array()) {
      fail(name, "must be a list");
      return false;
    }
    std::size_t n = 0;
    for (const auto& element : value->get_array())
      nested(element, path(name) + "[" + std::to_string(n++) + "]", read_it);
    return true;
  }
  Result<> finish() {
    const auto own = fields_.finish();
    return inner_ ? Result<>(*inner_) : own;
  }

  static std::string printed(double n) {
    char text[32];
    std::snprintf(text, sizeof text, "%.13g", n);
    return text;
  }

 private:
  void nested(const json::value& value, const std::string& where,
              const std::function<void(Fields&)>& read_it) {
    if (inner_) return;
    Fields inner(value, where);
    read_it(inner);
    if (const auto done = inner.finish(); !done) inner_ = done.error();
  }

  JsonFields fields_;
  std::string where_;
  std::optional<Error> inner_;
};

// A number, or one for each direction.
void read_tolerance(Fields& at, Tolerance& out) {
  const auto* value = at.take("tolerance");
  if (value == nullptr) return;
  if (value->is_object()) {
    at.section("tolerance", [&](Fields& f) {
      f.read("up", 0, 1e6, out.up);
      f.read("down", 0, 1e6, out.down);
    });
  } else {
    at.read("tolerance", 0, 1e6, out.up);
    out.down = out.up;
  }
}

void read_pods(Fields& root, DecisionInput& out) {
  std::vector<Pod> pods;
  std::set<std::string> names;
  const bool given = root.each("pods", [&](Fields& f) {
    Pod pod;
    f.read_name(pod.name);
    f.read("phase",
           Choices<PodPhase>{
               {"Running", PodPhase::running}, {"Pending", PodPhase::pending}, {"Failed", PodPhase::failed}},
           pod.phase);
    f.read("ready", pod.ready);
    f.read("deleted", pod.deleted);
    f.read_whole("request_milli", 0, kLargest, pod.request_milli);
    f.read("age_s", 0, kLongest_s, pod.age_s);
    pod.ready_since_s = pod.age_s;
    f.read("ready_since_s", 0, kLongest_s, pod.ready_since_s);
    if (!names.insert(pod.name).second) f.fail("name", "'" + pod.name + "' is given to two pods");
    pods.push_back(std::move(pod));
  });
  if (given) out.pods = std::move(pods);
}

// The numbers of one metric before they are made whole.
struct Numbers {
  double target = 1;
  double value = 0;
  std::map<std::string, double> samples{};
};

void read_target(Fields& metric, Metric& out, double& target) {
  metric.section("target", [&](Fields& f) {
    const bool from_pods = out.kind == MetricKind::resource || out.kind == MetricKind::pods;
    int given = 0;
    if (f.has("averageUtilization")) {
      ++given;
      out.target_kind = TargetKind::average_utilization;
      std::int64_t percent = 1;
      f.read_whole("averageUtilization", 1, kMostReplicas, percent);
      target = static_cast<double>(percent);
      if (out.kind != MetricKind::resource) f.fail("averageUtilization", "is for metrics of type resource");
    }
    if (f.has("averageValue")) {
      ++given;
      out.target_kind = TargetKind::average_value;
      f.read("averageValue", 0, kLargest, target);
      if (target <= 0) f.fail("averageValue", "must be above 0");
    }
    if (f.has("value")) {
      ++given;
      out.target_kind = TargetKind::value;
      f.read("value", 0, kLargest, target);
      if (target <= 0) f.fail("value", "must be above 0");
      if (from_pods) f.fail("value", "is for metrics of type object or external");
    }
    Tolerance tolerance = out.tolerance.value_or(Tolerance{});
    if (f.has("tolerance")) {
      read_tolerance(f, tolerance);
      out.tolerance = tolerance;
    }
    if (given == 1) return;
    const char* known = out.kind == MetricKind::resource ? "averageUtilization or averageValue"
                        : out.kind == MetricKind::pods   ? "averageValue"
                                                         : "value or averageValue";
    if (given == 0)
      f.fail(known, "is missing");
    else
      f.fail(known, "must be given, not several");
  });
}

void read_samples(Fields& metric, std::map<std::string, double>& out) {
  const auto* samples = metric.take("samples");
  if (samples == nullptr) return;
  if (!samples->is_object()) {
    metric.fail("samples", "must be an object of pod names and numbers");
    return;
  }
  for (const auto& member : samples->get_object()) {
    const json::value& value = member.value();
    const double number = value.is_number() ? value.to_number<double>() : std::nan("");
    if (!(number >= 0 && number <= kLargest))
      metric.fail("samples", "must hold numbers from 0 to " + Fields::printed(kLargest) + "; that of '" +
                                 std::string(member.key()) + "' is not");
    out[std::string(member.key())] = number;
  }
}

// Kubernetes counts in thousandths. Whole numbers are taken to be such counts already.
void make_whole(const Numbers& numbers, Metric& out) {
  const auto whole = [](double n) { return n == std::floor(n); };
  bool all_whole = whole(numbers.target) && whole(numbers.value);
  for (const auto& [pod, n] : numbers.samples) all_whole = all_whole && whole(n);
  const bool utilisation = out.target_kind == TargetKind::average_utilization;
  const double scale = all_whole || utilisation ? 1 : 1000;
  const auto scaled = [scale](double n) { return static_cast<std::int64_t>(std::ceil(n * scale)); };
  out.target = std::max<std::int64_t>(1, scaled(numbers.target));
  out.value = scaled(numbers.value);
  for (const auto& [pod, n] : numbers.samples) out.samples[pod] = scaled(n);
}

void read_metric(Fields& f, const Tolerance& common, std::vector<Metric>& out) {
  Metric metric;
  Numbers numbers;
  if (!f.has("type")) f.fail("type", "is missing");
  f.read("type",
         Choices<MetricKind>{{"resource", MetricKind::resource},
                             {"pods", MetricKind::pods},
                             {"object", MetricKind::object},
                             {"external", MetricKind::external}},
         metric.kind);
  f.read_name(metric.name);
  f.read("unavailable", metric.unavailable);
  if (f.has("target")) {
    metric.tolerance = common;
    read_target(f, metric, numbers.target);
  } else if (!metric.unavailable) {
    f.fail("target", "is missing");
  }
  if (metric.kind == MetricKind::resource || metric.kind == MetricKind::pods) {
    if (!f.has("samples") && !metric.unavailable)
      f.fail("samples", "is missing; or say \"unavailable\": true");
    read_samples(f, numbers.samples);
  } else {
    if (!f.has("value") && !metric.unavailable) f.fail("value", "is missing; or say \"unavailable\": true");
    f.read("value", 0, kLargest, numbers.value);
  }
  f.read("sample_age_s", 0, kLongest_s, metric.sample_age_s);
  f.read("window_s", 0, kLongest_s, metric.window_s);
  make_whole(numbers, metric);
  out.push_back(std::move(metric));
}

void read_rules(Fields& f, ScalingRules& out) {
  f.read("stabilizationWindowSeconds", 0, 3600, out.window_s);
  f.read("selectPolicy",
         Choices<SelectPolicy>{
             {"Max", SelectPolicy::max}, {"Min", SelectPolicy::min}, {"Disabled", SelectPolicy::disabled}},
         out.select);
  std::vector<RatePolicy> policies;
  const bool given = f.each("policies", [&](Fields& p) {
    RatePolicy policy;
    for (const char* name : {"type", "value", "periodSeconds"})
      if (!p.has(name)) p.fail(name, "is missing");
    p.read("type", Choices<PolicyUnit>{{"Pods", PolicyUnit::pods}, {"Percent", PolicyUnit::percent}},
           policy.unit);
    p.read_whole("value", 1, kMostReplicas, policy.value);
    p.read("periodSeconds", 1, 1800, policy.period_s);
    policies.push_back(policy);
  });
  if (!given) return;
  if (policies.empty()) f.fail("policies", "must have at least one policy");
  out.policies = std::move(policies);
}

void read_past(Fields& root, DecisionInput& out) {
  std::vector<Recommendation> history;
  const bool given = root.each("history", [&](Fields& f) {
    Recommendation r;
    for (const char* name : {"age_s", "recommendation"})
      if (!f.has(name)) f.fail(name, "is missing");
    f.read("age_s", 0, kLongest_s, r.age_s);
    f.read_whole("recommendation", 0, kMostReplicas, r.replicas);
    history.push_back(r);
  });
  if (given) out.history = std::move(history);
  root.each("events", [&](Fields& f) {
    ScaleEvent event;
    for (const char* name : {"age_s", "change"})
      if (!f.has(name)) f.fail(name, "is missing");
    f.read("age_s", 0, kLongest_s, event.age_s);
    f.read_whole("change", -kMostReplicas, kMostReplicas, event.change);
    out.events.push_back(event);
  });
}

}  // namespace

Result<DecisionInput> parse_decision_input(std::string_view text) {
  const auto document = parse_strict_json(text);
  if (!document)
    return Error{Errc::invalid_argument, "the input is not one JSON document: " + document.error().message,
                 "see 'flux autoscale decide --help'"};
  if (!document->is_object())
    return Error{Errc::invalid_argument, "the input must be a JSON object",
                 "see 'flux autoscale decide --help'"};
  DecisionInput input;
  Fields root(*document, "");
  if (!root.has("current")) root.fail("current", "is missing");
  root.read_whole("current", 0, kMostReplicas, input.current);
  root.read_whole("min", 0, kMostReplicas, input.min);
  root.read_whole("max", 1, kMostReplicas, input.max);
  if (input.max && input.min.value_or(1) > *input.max) root.fail("max", "must not be below min");
  read_tolerance(root, input.tolerance);
  read_pods(root, input);
  if (!root.each("metrics", [&](Fields& f) { read_metric(f, input.tolerance, input.metrics); }))
    root.fail("metrics", "is missing");
  else if (input.metrics.empty())
    root.fail("metrics", "must have at least one metric");
  root.section("behavior", [&](Fields& f) {
    input.behavior.emplace();
    f.section("scaleUp", [&](Fields& rules) { read_rules(rules, input.behavior->up); });
    f.section("scaleDown", [&](Fields& rules) { read_rules(rules, input.behavior->down); });
  });
  read_past(root, input);
  if (const auto done = root.finish(); !done) return done.error();
  return input;
}

std::string to_json(const Decision& decision) {
  json::object out{{"current", decision.current}, {"desired", decision.desired}, {"reason", decision.reason}};
  json::array& metrics = (out["per_metric"] = json::array()).get_array();
  for (const Proposal& p : decision.per_metric) {
    json::object entry{{"metric", p.metric}};
    entry["ratio"] = p.ratio ? json::value(*p.ratio) : json::value();
    entry["desired"] = p.desired ? json::value(*p.desired) : json::value();
    if (p.adjusted_ratio) entry["adjusted_ratio"] = *p.adjusted_ratio;
    if (!p.error.empty()) entry["error"] = p.error;
    metrics.push_back(std::move(entry));
  }
  if (decision.limited_by) out["limited_by"] = to_string(*decision.limited_by);
  return json::serialize(out);
}

}  // namespace flux::autoscale
