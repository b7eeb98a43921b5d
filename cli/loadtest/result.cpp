#include "cli/loadtest/result.hpp"

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <thread>

namespace flux::loadtest {
namespace {

double ms(std::int64_t ns) {
  return static_cast<double>(ns) / 1e6;
}

constexpr std::array<std::pair<ErrorKind, const char*>, 7> kKinds{{{ErrorKind::connect, "connect"},
                                                                   {ErrorKind::reset, "reset"},
                                                                   {ErrorKind::timeout, "timeout"},
                                                                   {ErrorKind::status_4xx, "status_4xx"},
                                                                   {ErrorKind::status_5xx, "status_5xx"},
                                                                   {ErrorKind::protocol, "protocol"},
                                                                   {ErrorKind::check, "check"}}};

}  // namespace

LatencySummary summarize(const LatencyHistogram& h) {
  return {ms(h.min()),          h.mean() / 1e6,         ms(h.percentile(50)),
          ms(h.percentile(75)), ms(h.percentile(90)),   ms(h.percentile(95)),
          ms(h.percentile(99)), ms(h.percentile(99.9)), ms(h.max())};
}

ErrorsByKind errors_by_kind(const ErrorCounts& outcomes) {
  ErrorsByKind by_kind;
  for (const auto& [kind, name] : kKinds) by_kind[name] = outcomes[static_cast<std::size_t>(kind)];
  return by_kind;
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::valid: return "valid";
    case Verdict::generator_bound: return "generator_bound";
    case Verdict::network_bound: return "network_bound";
  }
  return "";
}

bool RunResult::thresholds_met() const {
  return std::all_of(thresholds.begin(), thresholds.end(), [](const ThresholdResult& t) { return t.ok; });
}

Machine this_machine() {
  Machine machine;
  utsname names{};
  if (::uname(&names) == 0) {
    machine.host = names.nodename;
    machine.kernel = std::string(names.sysname) + " " + names.release;
  }
  machine.cores = std::thread::hardware_concurrency();
  struct sysinfo info {};
  if (::sysinfo(&info) == 0) machine.memory_bytes = static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.starts_with("model name")) {
      machine.cpu = line.substr(std::min(line.size(), line.find(':') + 2));
      break;
    }
  return machine;
}

std::vector<std::pair<double, double>> distribution(const LatencyHistogram& histogram) {
  std::vector<std::pair<double, double>> points;
  if (histogram.count() == 0) return points;
  constexpr int kPerHalving = 4;
  for (int step = 0;; ++step) {
    const double percent = 100 * (1 - std::pow(0.5, static_cast<double>(step) / kPerHalving));
    if (percent / 100 * static_cast<double>(histogram.count()) > static_cast<double>(histogram.count()) - 1)
      break;
    points.emplace_back(percent, ms(histogram.percentile(percent)));
  }
  points.emplace_back(100, ms(histogram.max()));
  return points;
}

std::string to_csv(const RunResult& result) {
  std::string text =
      "t_s,users,rps,p50_ms,p95_ms,p99_ms,service_p50_ms,service_p95_ms,service_p99_ms,errors\n";
  for (const TimelinePoint& p : result.timeline) {
    char line[256];
    std::snprintf(line, sizeof line, "%.3f,%u,%.1f,%.3f,%.3f,%.3f,%.3f,%.3f,%.3f,%llu\n", p.t_s, p.users,
                  p.rps, p.p50, p.p95, p.p99, p.service_p50, p.service_p95, p.service_p99,
                  static_cast<unsigned long long>(p.errors));
    text += line;
  }
  return text;
}

}  // namespace flux::loadtest
