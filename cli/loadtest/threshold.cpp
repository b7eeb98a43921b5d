#include "cli/loadtest/threshold.hpp"

#include <algorithm>
#include <charconv>

#include "common/core/units.hpp"

namespace flux::loadtest {
namespace {

constexpr const char* kExamples =
    "write it like p95<200ms, p(99.9)<1s, error_rate<0.1%, rps>4000 or checks>99%";

Error malformed(std::string_view text, const std::string& why) {
  return {Errc::invalid_argument, "threshold '" + std::string(text) + "': " + why, kExamples};
}

bool parse_number(std::string_view text, double& value) {
  const auto [end, ec] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  return ec == std::errc{} && end == text.data() + text.size();
}

std::string without_spaces(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != ' ') out += c;
  return out;
}

bool is_latency(Threshold::Metric metric) {
  using Metric = Threshold::Metric;
  return metric == Metric::percentile || metric == Metric::min || metric == Metric::mean ||
         metric == Metric::max;
}

bool parse_metric(std::string_view name, Threshold& out) {
  using Metric = Threshold::Metric;
  if (name.starts_with("service.") || name.starts_with("service_")) {
    out.service = true;
    name.remove_prefix(8);
  } else if (name.starts_with("response.") || name.starts_with("response_")) {
    name.remove_prefix(9);
  }
  static constexpr std::pair<std::string_view, Metric> kNames[] = {
      {"min", Metric::min},       {"mean", Metric::mean},     {"avg", Metric::mean},
      {"max", Metric::max},       {"rps", Metric::rps},       {"requests", Metric::requests},
      {"errors", Metric::errors}, {"checks", Metric::checks}, {"error_rate", Metric::error_rate}};
  for (const auto& [known, metric] : kNames)
    if (name == known) {
      out.metric = metric;
      return !out.service || is_latency(metric);
    }
  out.metric = Metric::percentile;
  if (name == "med" || name == "median") {
    out.percent = 50;
    return true;
  }
  if (!name.starts_with('p')) return false;
  name.remove_prefix(1);
  if (name.starts_with('(') && name.ends_with(')')) name = name.substr(1, name.size() - 2);
  return parse_number(name, out.percent) && out.percent > 0 && out.percent <= 100;
}

Result<double> parse_limit(std::string_view text, Threshold::Metric metric) {
  double plain = 0;
  if (is_latency(metric)) {
    if (parse_number(text, plain)) return plain;  // milliseconds, as k6 has it
    const auto duration = parse_duration(text);
    if (!duration) return duration.error();
    return static_cast<double>(duration->count()) / 1e6;
  }
  if (metric == Threshold::Metric::error_rate || metric == Threshold::Metric::checks)
    return parse_percent(text);
  if (parse_number(text, plain)) return plain;
  const auto count = parse_count(text);
  if (!count) return count.error();
  return static_cast<double>(*count);
}

bool compare(double value, Threshold::Comparison comparison, double limit) {
  switch (comparison) {
    case Threshold::Comparison::below: return value < limit;
    case Threshold::Comparison::at_most: return value <= limit;
    case Threshold::Comparison::above: return value > limit;
    case Threshold::Comparison::at_least: return value >= limit;
  }
  return false;
}

// No measurement can be below zero, and no share above one.
bool impossible(const Threshold& t) {
  const bool share = t.metric == Threshold::Metric::error_rate || t.metric == Threshold::Metric::checks;
  switch (t.comparison) {
    case Threshold::Comparison::below: return t.limit <= 0;
    case Threshold::Comparison::at_most: return t.limit < 0;
    case Threshold::Comparison::above: return share && t.limit >= 1;
    case Threshold::Comparison::at_least: return share && t.limit > 1;
  }
  return false;
}

}  // namespace

Result<Threshold> parse_threshold(std::string_view text) {
  Threshold threshold;
  threshold.expression = text;
  std::string rest = without_spaces(text);
  if (rest.ends_with(",abort")) {
    threshold.aborts = true;
    rest.resize(rest.size() - 6);
  }
  if (const auto open = rest.find('{'); open != std::string::npos) {
    const auto close = rest.find('}', open);
    if (close == std::string::npos) return malformed(text, "'{' without '}'");
    threshold.selector = rest.substr(open + 1, close - open - 1);
    rest.erase(open, close - open + 1);
    if (threshold.selector.find(':') == std::string::npos)
      return malformed(text, "{" + threshold.selector + "} needs a key, like {name:create_order}");
  }
  const auto sign = rest.find_first_of("<>");
  if (sign == std::string::npos) return malformed(text, "no '<' or '>'");
  const bool or_equal = sign + 1 < rest.size() && rest[sign + 1] == '=';
  if (rest[sign] == '<')
    threshold.comparison = or_equal ? Threshold::Comparison::at_most : Threshold::Comparison::below;
  else
    threshold.comparison = or_equal ? Threshold::Comparison::at_least : Threshold::Comparison::above;
  const std::string metric = rest.substr(0, sign);
  if (!parse_metric(metric, threshold)) return malformed(text, "no measure is called '" + metric + "'");
  const auto limit = parse_limit(std::string_view(rest).substr(sign + (or_equal ? 2 : 1)), threshold.metric);
  if (!limit) return malformed(text, limit.error().message);
  threshold.limit = *limit;
  if (impossible(threshold)) return malformed(text, "nothing can meet it");
  return threshold;
}

Result<std::vector<Threshold>> parse_thresholds(const std::vector<std::string>& texts,
                                                const std::vector<RequestName>& names) {
  std::vector<Threshold> thresholds;
  for (const std::string& text : texts) {
    auto threshold = parse_threshold(text);
    if (!threshold) return threshold.error();
    const bool known = std::any_of(names.begin(), names.end(), [&](const RequestName& name) {
      return selects(threshold->selector, name);
    });
    if (!known) {
      std::string list;
      for (const RequestName& name : names) list += (list.empty() ? "" : ", ") + name.name;
      return Error{Errc::invalid_argument, "threshold '" + text + "' selects no request of the scenario",
                   "its names are " + list};
    }
    thresholds.push_back(std::move(*threshold));
  }
  return thresholds;
}

ThresholdResult evaluate(const Threshold& threshold, const Measurement& measured, double duration_s) {
  using Metric = Threshold::Metric;
  const NameTotals totals = measured.totals(threshold.selector);
  const LatencyHistogram& latency = threshold.service ? totals.service : totals.response;
  const auto requests = static_cast<double>(totals.requests());
  const double checks = static_cast<double>(totals.checks_passed + totals.checks_failed);
  double value = 0;
  bool measurable = true;
  switch (threshold.metric) {
    case Metric::percentile: value = static_cast<double>(latency.percentile(threshold.percent)) / 1e6; break;
    case Metric::min: value = static_cast<double>(latency.min()) / 1e6; break;
    case Metric::mean: value = latency.mean() / 1e6; break;
    case Metric::max: value = static_cast<double>(latency.max()) / 1e6; break;
    case Metric::error_rate:
      measurable = requests > 0;
      value = measurable ? static_cast<double>(totals.errors()) / requests : 0;
      break;
    case Metric::errors: value = static_cast<double>(totals.errors()); break;
    case Metric::rps: value = duration_s > 0 ? requests / duration_s : 0; break;
    case Metric::requests: value = requests; break;
    case Metric::checks: value = checks > 0 ? static_cast<double>(totals.checks_passed) / checks : 1; break;
  }
  if (is_latency(threshold.metric)) measurable = latency.count() > 0;
  return {threshold.expression, value, measurable && compare(value, threshold.comparison, threshold.limit)};
}

}  // namespace flux::loadtest
