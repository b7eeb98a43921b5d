#pragma once
// What a thread has seen since its last report, by request name. The thread
// writes it alone and hands it over every quarter second.

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "cli/loadtest/latency_histogram.hpp"

namespace flux::loadtest {

enum class ErrorKind : std::uint8_t {
  none,
  connect,
  reset,
  timeout,
  status_4xx,
  status_5xx,
  protocol,
  check
};
constexpr std::size_t kErrorKinds = 8;
using ErrorCounts = std::array<std::uint64_t, kErrorKinds>;  // [none] counts successes

// The end of one request.
struct Outcome {
  ErrorKind error = ErrorKind::none;
  unsigned status = 0;            // 0: no answer came
  std::int64_t service_ns = -1;   // from the actual send; negative: not measured
  std::int64_t response_ns = -1;  // from the intended send
  std::uint32_t checks_passed = 0;
  std::uint32_t checks_failed = 0;
};

struct NameReport {
  HistogramDelta service{};
  HistogramDelta response{};
  ErrorCounts outcomes{};
  std::uint64_t checks_passed = 0;
  std::uint64_t checks_failed = 0;
};

struct IntervalReport {
  std::int64_t slot = 0;  // quarter seconds since the start of the run
  std::uint32_t thread = 0;
  std::uint32_t users = 0;  // active in this thread
  bool last = false;        // the thread has ended
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::vector<NameReport> names{};
  std::vector<std::pair<unsigned, std::uint64_t>> statuses{};
};

class Recorder {
 public:
  explicit Recorder(std::size_t names) : names_(names) {}

  void record(std::uint16_t name, const Outcome& outcome) {
    Tally& tally = names_[name];
    if (outcome.service_ns >= 0) tally.service.record(outcome.service_ns);
    if (outcome.response_ns >= 0) tally.response.record(outcome.response_ns);
    ++tally.outcomes[static_cast<std::size_t>(outcome.error)];
    tally.checks_passed += outcome.checks_passed;
    tally.checks_failed += outcome.checks_failed;
    ++statuses_[outcome.status < statuses_.size() ? outcome.status : 0];
  }
  void add_bytes(std::uint64_t in, std::uint64_t out) {
    bytes_in_ += in;
    bytes_out_ += out;
  }
  // Hands over everything and starts again.
  IntervalReport take();

 private:
  struct Tally {
    LatencyHistogram service{};
    LatencyHistogram response{};
    ErrorCounts outcomes{};
    std::uint64_t checks_passed = 0;
    std::uint64_t checks_failed = 0;
  };

  std::vector<Tally> names_;
  std::array<std::uint64_t, 1000> statuses_{};
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
};

}  // namespace flux::loadtest
