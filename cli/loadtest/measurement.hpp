#pragma once
// Everything measured so far, merged from the threads' interval reports.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/loadtest/latency_histogram.hpp"
#include "cli/loadtest/recorder.hpp"
#include "cli/loadtest/scenario.hpp"

namespace flux::loadtest {

struct NameTotals {
  RequestName name{};
  LatencyHistogram service{};
  LatencyHistogram response{};
  ErrorCounts outcomes{};
  std::uint64_t checks_passed = 0;
  std::uint64_t checks_failed = 0;

  std::uint64_t requests() const;
  std::uint64_t errors() const { return requests() - outcomes[0]; }
  void merge(const NameTotals& other);
};

// What was seen in one second of the run.
struct SecondTotals {
  LatencyHistogram service{};
  LatencyHistogram response{};
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  std::uint32_t users = 0;
};

struct TimelinePoint {
  double t_s = 0;  // since the start of the run, at the end of this second
  std::uint32_t users = 0;
  double rps = 0;
  double p50 = 0, p95 = 0, p99 = 0;                          // response time, ms
  double service_p50 = 0, service_p95 = 0, service_p99 = 0;  // ms
  std::uint64_t errors = 0;
};

class Measurement {
 public:
  Measurement(const std::vector<RequestName>& names, std::uint32_t threads);

  void add(const IntervalReport& report);
  // Seconds that every thread has reported on to their end become points of the timeline.
  void close_finished_seconds();
  // The rest, when the run lasted `length_s`.
  void close_all(double length_s);

  const std::vector<NameTotals>& names() const { return names_; }
  // All names that match: "" for all, else by name, or by "tag:value".
  NameTotals totals(const std::string& selector = "") const;
  bool knows(const std::string& selector) const;
  const std::vector<TimelinePoint>& timeline() const { return timeline_; }
  const std::map<unsigned, std::uint64_t>& statuses() const { return statuses_; }
  std::uint64_t bytes_in() const { return bytes_in_; }
  std::uint64_t bytes_out() const { return bytes_out_; }
  std::uint32_t users() const;

 private:
  void close(std::int64_t second, double length_s);

  std::vector<NameTotals> names_;
  std::map<std::int64_t, SecondTotals> open_;  // by second
  std::vector<TimelinePoint> timeline_;
  std::vector<std::uint32_t> users_;     // by thread
  std::vector<std::int64_t> last_slot_;  // by thread
  std::map<unsigned, std::uint64_t> statuses_;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
};

// Does a request of this name belong to "create_order", "name:create_order" or "tag:value"?
bool selects(const std::string& selector, const RequestName& name);

}  // namespace flux::loadtest
