#pragma once
// What a run measured, as one value: printed as text, written as JSON
// (schema flux.loadtest/1), read back for comparisons, reports and capacity fits.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/loadtest/comparison.hpp"
#include "cli/loadtest/measurement.hpp"
#include "cli/loadtest/threshold.hpp"
#include "common/core/result.hpp"

namespace flux::loadtest {

// Milliseconds.
struct LatencySummary {
  double min = 0, mean = 0, p50 = 0, p75 = 0, p90 = 0, p95 = 0, p99 = 0, p99_9 = 0, max = 0;
};
LatencySummary summarize(const LatencyHistogram& histogram);

struct LatencyPair {
  LatencySummary service{};   // from the actual send
  LatencySummary response{};  // from the intended send
};

// By the names of the contract: connect, reset, timeout, status_4xx, status_5xx, protocol, check.
using ErrorsByKind = std::map<std::string, std::uint64_t>;
ErrorsByKind errors_by_kind(const ErrorCounts& outcomes);

struct NameResult {
  std::string name{};
  std::map<std::string, std::string> tags{};
  std::uint64_t requests = 0;
  double rps = 0;
  LatencyPair latency{};
  std::uint64_t errors = 0;
  ErrorsByKind errors_by_kind{};
};

enum class Verdict { valid, generator_bound, network_bound };
std::string_view to_string(Verdict verdict);

struct GeneratorReport {
  Verdict verdict = Verdict::valid;
  std::vector<std::string> reasons{};  // why it is not valid, or what came near to it
  std::uint32_t threads = 1;
  double cpu_percent = 0;  // of one core, all threads together
  double busiest_thread_percent = 0;
  double run_queue_wait_percent = 0;  // of the busiest thread: ready, but without a processor
  double steal_percent = 0;           // of the machine, taken by its host
  double send_lag_p50_ms = 0, send_lag_p99_ms = 0, max_send_lag_ms = 0;
  double loop_lag_p50_ms = 0, loop_lag_p99_ms = 0, max_loop_lag_ms = 0;
  double calibrated_rps = 0;  // what one thread can drive against an in-process echo; 0: not measured
  std::uint64_t connections = 0;
  std::uint64_t peak_rss_bytes = 0;
};

// Open model: was the schedule kept?
struct RateReport {
  double asked = 0;
  double sent = 0;
  std::uint64_t unsent = 0;  // due, but no user was free until the end
  bool met = true;
};

// One measured series of the watched system, on the run's clock.
struct WatchSeries {
  std::string name{};
  std::string resource{};
  std::string unit{};
  std::vector<std::pair<double, double>> points{};  // t_s, value
};

struct WatchReport {
  std::optional<std::string> first_saturated{};
  std::optional<double> drain_s{};
  std::vector<WatchSeries> series{};
};

struct Machine {
  std::string host{};
  std::string cpu{};
  std::uint32_t cores = 0;
  std::uint64_t memory_bytes = 0;
  std::string kernel{};
};
Machine this_machine();

struct RunResult {
  std::string target{};
  std::string scenario{};
  std::string started_at{};  // RFC 3339, UTC
  std::uint64_t seed = 0;
  std::uint32_t users = 0;  // at most at the same time
  double think_min_ms = 0, think_max_ms = 0;
  double duration_s = 0;  // of the measured part, without warm-up
  double warmup_s = 0;
  bool interrupted = false;
  std::optional<std::string> aborted_by{};  // the threshold that ended it
  std::uint64_t requests = 0;
  double rps = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  LatencyPair latency{};
  std::uint64_t errors = 0;
  ErrorsByKind errors_by_kind{};
  std::string first_error{};  // an example in words
  std::uint64_t checks_passed = 0;
  std::uint64_t checks_failed = 0;
  std::map<unsigned, std::uint64_t> statuses{};
  std::vector<NameResult> by_name{};
  std::vector<TimelinePoint> timeline{};
  std::vector<ThresholdResult> thresholds{};
  GeneratorReport generator{};
  std::optional<RateReport> rate{};
  WatchReport watch{};
  std::optional<Comparison> baseline{};  // against --baseline
  Machine machine{};
  // Percent and milliseconds, denser towards 100 %: for plots of the distribution.
  std::vector<std::pair<double, double>> service_distribution{};
  std::vector<std::pair<double, double>> response_distribution{};

  double error_rate() const {
    return requests == 0 ? 0 : static_cast<double>(errors) / static_cast<double>(requests);
  }
  bool thresholds_met() const;
};

std::vector<std::pair<double, double>> distribution(const LatencyHistogram& histogram);

std::string to_json(const RunResult& result);
Result<RunResult> parse_result(const std::string& json, const std::string& source);
Result<RunResult> load_result(const std::string& file);

// The timeline: t_s,users,rps,p50_ms,… with a header line.
std::string to_csv(const RunResult& result);

// The report: one page with everything it needs in it, safe against any text in the result.
std::string to_html(const RunResult& result);

}  // namespace flux::loadtest
