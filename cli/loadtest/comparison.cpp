#include "cli/loadtest/comparison.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdio>

#include "cli/loadtest/result.hpp"
#include "cli/loadtest/summary_text.hpp"
#include "common/core/units.hpp"

namespace flux::loadtest {
namespace {

// Three standard errors: one false alarm in some hundred comparisons, not in twenty.
constexpr double kStandardErrors = 3;
// A change smaller than this is not worth a sentence, however certain.
constexpr double kLeastChange = 0.02;
constexpr std::size_t kLeastSeconds = 3;

struct Spread {
  double mean = 0;
  double error_of_mean = 0;
  std::size_t count = 0;
};

// Over the seconds of a run; the first and the last, while users come and go, say little.
Spread spread_of(const RunResult& result, double TimelinePoint::*field) {
  std::vector<double> values;
  for (const TimelinePoint& point : result.timeline) values.push_back(point.*field);
  if (values.size() > kLeastSeconds + 2) {
    values.erase(values.begin());
    values.pop_back();
  }
  Spread spread;
  spread.count = values.size();
  if (values.empty()) return spread;
  for (const double value : values) spread.mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  if (values.size() > 1)
    spread.error_of_mean =
        std::sqrt(squares / static_cast<double>(values.size() - 1) / static_cast<double>(values.size()));
  return spread;
}

double relative(double before, double after) {
  if (before == 0) return after == 0 ? 0 : 1;
  return (after - before) / before;
}

MetricChange over_seconds(const char* name, const RunResult& a, const RunResult& b,
                          double TimelinePoint::*field, double before, double after, bool more_is_better) {
  MetricChange change{name, before, after, relative(before, after), false, false};
  const Spread one = spread_of(a, field);
  const Spread two = spread_of(b, field);
  if (one.count >= kLeastSeconds && two.count >= kLeastSeconds) {
    const double error = std::hypot(one.error_of_mean, two.error_of_mean);
    const double distance = two.mean - one.mean;
    change.significant = std::fabs(distance) > kStandardErrors * error &&
                         std::fabs(relative(one.mean, two.mean)) > kLeastChange &&
                         std::fabs(change.change) > kLeastChange && (distance > 0) == (change.change > 0);
  }
  change.better = (change.change > 0) == more_is_better;
  return change;
}

// Two proportions, pooled.
MetricChange error_rates(const RunResult& a, const RunResult& b) {
  MetricChange change{"error_rate",   a.error_rate(),
                      b.error_rate(), relative(a.error_rate(), b.error_rate()),
                      false,          b.error_rate() < a.error_rate()};
  const auto n = static_cast<double>(a.requests);
  const auto m = static_cast<double>(b.requests);
  if (n > 0 && m > 0) {
    const double pooled = static_cast<double>(a.errors + b.errors) / (n + m);
    const double error = std::sqrt(pooled * (1 - pooled) * (1 / n + 1 / m));
    change.significant = error > 0 && std::fabs(b.error_rate() - a.error_rate()) > kStandardErrors * error;
  }
  return change;
}

std::string value_text(const MetricChange& change, double value) {
  char text[32];
  if (change.metric == "rps") return format_count(value);
  if (change.metric != "error_rate") return latency_text(value);
  std::snprintf(text, sizeof text, "%.3g%%", value * 100);
  return text;
}

}  // namespace

Comparison compare_results(const RunResult& a, const RunResult& b) {
  Comparison result;
  const auto differ = [&](const std::string& what, const std::string& one, const std::string& two) {
    if (one != two) result.caveats.push_back(what + " differs: " + one + " and " + two);
  };
  differ("target", a.target, b.target);
  differ("scenario", a.scenario, b.scenario);
  differ("number of users", std::to_string(a.users), std::to_string(b.users));
  differ("number of cores", std::to_string(a.machine.cores), std::to_string(b.machine.cores));
  for (const RunResult* each : {&a, &b}) {
    if (each->generator.verdict != Verdict::valid)
      result.caveats.push_back("the run of " + each->started_at + " is " +
                               std::string(to_string(each->generator.verdict)));
    if (each->timeline.size() < kLeastSeconds)
      result.caveats.push_back("the run of " + each->started_at + " is too short to know its noise");
  }
  const LatencySummary& before = a.latency.response;
  const LatencySummary& after = b.latency.response;
  result.changes = {over_seconds("rps", a, b, &TimelinePoint::rps, a.rps, b.rps, true),
                    over_seconds("p50", a, b, &TimelinePoint::p50, before.p50, after.p50, false),
                    over_seconds("p95", a, b, &TimelinePoint::p95, before.p95, after.p95, false),
                    over_seconds("p99", a, b, &TimelinePoint::p99, before.p99, after.p99, false),
                    error_rates(a, b)};
  const auto any = [&](bool better) {
    return std::any_of(result.changes.begin(), result.changes.end(),
                       [&](const MetricChange& c) { return c.significant && c.better == better; });
  };
  result.verdict = any(true) ? (any(false) ? "mixed" : "better") : (any(false) ? "worse" : "same");
  return result;
}

std::string comparison_text(const Comparison& comparison, bool color) {
  char line[160];
  std::snprintf(line, sizeof line, "%-12s%12s%12s%10s\n", "", "before", "after", "change");
  std::string text = line;
  for (const MetricChange& change : comparison.changes) {
    // µ takes two bytes and one column.
    const auto padded = [&](double value) {
      std::string cell = value_text(change, value);
      const std::size_t columns = cell.size() - (cell.find("µ") == std::string::npos ? 0 : 1);
      return std::string(columns < 12 ? 12 - columns : 0, ' ') + cell;
    };
    std::snprintf(line, sizeof line, "%-12s", change.metric.c_str());
    text += line + padded(change.before) + padded(change.after);
    std::snprintf(line, sizeof line, "%+9.1f%%  ", change.change * 100);
    text += line;
    const char* style = change.better ? "\x1b[32m" : "\x1b[31m";
    const std::string words = !change.significant ? "within noise" : change.better ? "better" : "worse";
    text += (color && change.significant ? style + words + "\x1b[0m" : words) + "\n";
  }
  for (const std::string& caveat : comparison.caveats) text += "note: " + caveat + "\n";
  text += "overall: " + comparison.verdict + "\n";
  return text;
}

std::string comparison_json(const Comparison& comparison) {
  namespace json = boost::json;
  json::array changes;
  for (const MetricChange& c : comparison.changes)
    changes.push_back({{"metric", c.metric},
                       {"before", c.before},
                       {"after", c.after},
                       {"change", c.change},
                       {"significant", c.significant},
                       {"better", c.significant && c.better}});
  return json::serialize(json::value{{"verdict", comparison.verdict},
                                     {"changes", std::move(changes)},
                                     {"caveats", json::value_from(comparison.caveats)}});
}

}  // namespace flux::loadtest
