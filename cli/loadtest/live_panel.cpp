#include "cli/loadtest/live_panel.hpp"

#include <algorithm>
#include <cstdio>

#include "cli/loadtest/summary_text.hpp"
#include "common/core/units.hpp"

namespace flux::loadtest {
namespace {

constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::size_t kBarWidth = 30;

std::string seconds_text(double s) {
  return format_duration(Duration{static_cast<std::int64_t>(s) * 1'000'000'000});
}

std::string progress_bar(double share, std::size_t width) {
  const auto filled =
      static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width) + 0.5);
  std::string bar;
  for (std::size_t i = 0; i < width; ++i) bar += i < filled ? "━" : "╌";
  return bar;
}

}  // namespace

std::string sparkline(const std::vector<double>& values, std::size_t width) {
  const std::size_t shown = std::min(values.size(), width);
  const auto first = values.end() - static_cast<std::ptrdiff_t>(shown);
  const double most = shown == 0 ? 0 : *std::max_element(first, values.end());
  std::string line;
  for (auto value = first; value != values.end(); ++value)
    line += kBars[most <= 0 ? 0 : std::min<std::size_t>(7, static_cast<std::size_t>(*value / most * 7.999))];
  return line;
}

std::string progress_line(const LiveView& view) {
  std::string text = seconds_text(view.elapsed_s) + "  " + std::to_string(view.users) + " users";
  if (view.timeline != nullptr && !view.timeline->empty()) {
    const TimelinePoint& last = view.timeline->back();
    text += "  " + format_count(last.rps) + " rps  p50 " + latency_text(last.p50) + "  p95 " +
            latency_text(last.p95) + "  p99 " + latency_text(last.p99);
  }
  text += "  errors " + std::to_string(view.errors);
  return text + (view.ending ? "  waiting for the last answers" : "");
}

std::vector<std::string> render_panel(const LiveView& view, const std::string& title, std::size_t width,
                                      bool color) {
  const auto styled = [&](const char* style, const std::string& text) {
    return color ? style + text + "\x1b[0m" : text;
  };
  const std::size_t graph = width > 30 ? std::min<std::size_t>(60, width - 24) : 10;
  std::vector<double> rps;
  std::vector<double> p95;
  TimelinePoint last;
  if (view.timeline != nullptr)
    for (const TimelinePoint& point : *view.timeline) {
      rps.push_back(point.rps);
      p95.push_back(point.p95);
      last = point;
    }
  char rate[32];
  std::snprintf(
      rate, sizeof rate, "%.3g%%",
      view.requests == 0 ? 0.0 : 100 * static_cast<double>(view.errors) / static_cast<double>(view.requests));
  std::vector<std::string> lines;
  lines.push_back(styled("\x1b[1m", title.substr(0, width)));
  lines.push_back(progress_bar(view.elapsed_s / std::max(view.run_time_s, 1e-9), kBarWidth) + " " +
                  seconds_text(view.elapsed_s) + " of " + seconds_text(view.run_time_s) +
                  (view.ending ? ", waiting for the last answers" : ""));
  lines.push_back("users    " + std::to_string(view.users));
  lines.push_back("rps      " + format_count(last.rps) + "  " + styled("\x1b[36m", sparkline(rps, graph)));
  lines.push_back("latency  p50 " + latency_text(last.p50) + "  p95 " + latency_text(last.p95) + "  p99 " +
                  latency_text(last.p99));
  lines.push_back("p95      " + styled("\x1b[35m", sparkline(p95, graph)));
  const std::string errors =
      "errors   " + std::to_string(view.errors) + " of " + std::to_string(view.requests) + " (" + rate + ")";
  lines.push_back(view.errors == 0 ? errors : styled("\x1b[31m", errors));
  lines.push_back(styled("\x1b[2m", "+ more users   - fewer users   q stop"));
  return lines;
}

}  // namespace flux::loadtest
