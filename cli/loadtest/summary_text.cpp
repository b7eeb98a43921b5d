#include "cli/loadtest/summary_text.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "common/core/units.hpp"

namespace flux::loadtest {
namespace {

constexpr const char* kRed = "\x1b[31m";
constexpr const char* kGreen = "\x1b[32m";
constexpr const char* kYellow = "\x1b[33m";
constexpr const char* kBold = "\x1b[1m";
constexpr const char* kPlain = "\x1b[0m";

__attribute__((format(printf, 1, 2))) std::string printed(const char* format, ...) {
  char text[512];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return text;
}

class Painter {
 public:
  explicit Painter(bool color) : color_(color) {}
  std::string operator()(const char* style, const std::string& text) const {
    return color_ ? style + text + kPlain : text;
  }

 private:
  bool color_;
};

// Counts bytes of UTF-8 as the one column that each character takes.
std::string right(const std::string& text, std::size_t width) {
  const auto columns = static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
  return columns >= width ? text : std::string(width - columns, ' ') + text;
}

std::string threshold_value(const ThresholdResult& t) {
  const std::string metric = t.expression.substr(0, t.expression.find_first_of("<>{"));
  if (metric == "error_rate" || metric == "checks") return printed("%.3g%%", t.value * 100);
  if (metric == "rps" || metric == "requests" || metric == "errors") return format_count(t.value);
  return latency_text(t.value);
}

std::string latency_table(const RunResult& r, const Painter& paint) {
  std::string text = "\nLatency " + paint(kBold, right("service", 12) + right("response", 12)) +
                     "   (from the actual send | from the intended send)\n";
  const std::pair<const char*, double LatencySummary::*> rows[] = {
      {"min", &LatencySummary::min}, {"mean", &LatencySummary::mean},   {"p50", &LatencySummary::p50},
      {"p75", &LatencySummary::p75}, {"p90", &LatencySummary::p90},     {"p95", &LatencySummary::p95},
      {"p99", &LatencySummary::p99}, {"p99.9", &LatencySummary::p99_9}, {"max", &LatencySummary::max}};
  for (const auto& [name, field] : rows)
    text += printed("  %-6s", name) + right(latency_text(r.latency.service.*field), 12) +
            right(latency_text(r.latency.response.*field), 12) + "\n";
  return text;
}

std::string names_table(const RunResult& r, const Painter& paint) {
  std::size_t width = 8;
  for (const NameResult& name : r.by_name) width = std::max(width, name.name.size() + 2);
  std::string text = "\n" +
                     paint(kBold, printed("%-*s", static_cast<int>(width), "Requests") + right("count", 10) +
                                      right("rps", 10) + right("p50", 11) + right("p95", 11) +
                                      right("p99", 11) + right("max", 11) + right("errors", 9)) +
                     "   (response time)\n";
  for (const NameResult& name : r.by_name) {
    const LatencySummary& l = name.latency.response;
    text += printed("%-*s", static_cast<int>(width), name.name.c_str()) +
            right(format_count(static_cast<double>(name.requests)), 10) + right(format_count(name.rps), 10) +
            right(latency_text(l.p50), 11) + right(latency_text(l.p95), 11) + right(latency_text(l.p99), 11) +
            right(latency_text(l.max), 11);
    const std::string errors = right(format_count(static_cast<double>(name.errors)), 9);
    text += (name.errors != 0 ? paint(kRed, errors) : errors) + "\n";
  }
  return text;
}

std::string errors_text(const RunResult& r, const Painter& paint) {
  std::string text =
      printed("  errors    %llu (%.3g%%)", static_cast<unsigned long long>(r.errors), r.error_rate() * 100);
  if (r.errors == 0) return paint(kGreen, text) + "\n";
  std::string kinds;
  for (const auto& [kind, count] : r.errors_by_kind)
    if (count != 0) kinds += (kinds.empty() ? "  " : ", ") + kind + " " + std::to_string(count);
  text = paint(kRed, text) + kinds + "\n";
  if (!r.first_error.empty()) text += "            for example: " + r.first_error + "\n";
  return text;
}

std::string generator_text(const RunResult& r, const Painter& paint) {
  const GeneratorReport& g = r.generator;
  std::string text = "\nGenerator ";
  if (g.verdict == Verdict::valid)
    text += paint(kGreen, "valid");
  else
    text += paint(kRed, g.verdict == Verdict::generator_bound ? "GENERATOR-BOUND" : "NETWORK-BOUND") +
            " (these figures are the generator's limit, not the target's)";
  text += printed(": %u thread%s, %.0f%% of a core, send lag p99 %s max %s, loop lag p99 %s", g.threads,
                  g.threads == 1 ? "" : "s", g.cpu_percent, latency_text(g.send_lag_p99_ms).c_str(),
                  latency_text(g.max_send_lag_ms).c_str(), latency_text(g.loop_lag_p99_ms).c_str());
  if (g.calibrated_rps > 0)
    text += ", calibrated " + format_count(g.calibrated_rps) + " requests/s per thread";
  text += ", peak memory " + format_size(g.peak_rss_bytes) + "\n";
  for (const std::string& reason : g.reasons) text += "  - " + reason + "\n";
  return text;
}

}  // namespace

std::string latency_text(double ms) {
  if (ms < 1) return printed("%.0f µs", ms * 1000);
  if (ms < 10) return printed("%.2f ms", ms);
  if (ms < 100) return printed("%.1f ms", ms);
  if (ms < 1000) return printed("%.0f ms", ms);
  return printed("%.2f s", ms / 1000);
}

std::string summary_text(const RunResult& r, bool color) {
  const Painter paint(color);
  std::string text;
  if (r.interrupted) text += paint(kYellow, "interrupted: this is what was measured until then") + "\n";
  if (r.aborted_by) text += paint(kRed, "ended early by the threshold " + *r.aborted_by) + "\n";
  if (!r.thresholds.empty()) {
    text += "Thresholds\n";
    for (const ThresholdResult& t : r.thresholds)
      text += "  " + (t.ok ? paint(kGreen, "✓ ") : paint(kRed, "✗ ")) + t.expression + "   " +
              threshold_value(t) + "\n";
    text += "\n";
  }
  text += paint(kBold, r.scenario) + " on " + r.target +
          printed(": %u users, %.1f s", r.users, r.duration_s) + "\n";
  text += "  requests  " + format_count(static_cast<double>(r.requests)) + "  " +
          paint(kBold, format_count(r.rps) + "/s") + "  in " + format_size(r.bytes_in) + "  out " +
          format_size(r.bytes_out) + "\n";
  text += errors_text(r, paint);
  if (r.checks_passed + r.checks_failed != 0)
    text +=
        printed("  checks    %llu passed, %llu failed\n", static_cast<unsigned long long>(r.checks_passed),
                static_cast<unsigned long long>(r.checks_failed));
  if (r.rate && !r.rate->met)
    text += paint(kRed, "  rate not met: " + format_count(r.rate->asked) + "/s asked, " +
                            format_count(r.rate->sent) + "/s sent, " + std::to_string(r.rate->unsent) +
                            " left unsent; allow more --users, or the target is too slow") +
            "\n";
  text += latency_table(r, paint);
  text += names_table(r, paint);
  if (r.baseline) text += "\nAgainst the baseline\n" + comparison_text(*r.baseline, color);
  text += generator_text(r, paint);
  return text;
}

}  // namespace flux::loadtest
