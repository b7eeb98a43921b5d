#pragma once
// Limits on what was measured, as people write them: p95<200ms, error_rate<0.1%,
// rps>4000, checks>99%; {name:create_order} narrows one, ",abort" ends the run early.

#include <string>
#include <string_view>
#include <vector>

#include "cli/loadtest/measurement.hpp"
#include "common/core/result.hpp"

namespace flux::loadtest {

struct Threshold {
  enum class Metric { percentile, min, mean, max, error_rate, errors, rps, requests, checks };
  enum class Comparison { below, at_most, above, at_least };

  std::string expression{};  // as written
  Metric metric = Metric::percentile;
  bool service = false;  // service time instead of response time
  double percent = 0;    // of Metric::percentile
  Comparison comparison = Comparison::below;
  double limit = 0;        // ms, a fraction, or a count
  std::string selector{};  // "name:create_order"; "" for everything
  bool aborts = false;
};

struct ThresholdResult {
  std::string expression{};
  double value = 0;
  bool ok = false;
};

// A limit that nothing can meet is an error, as is a selector that no request has.
Result<Threshold> parse_threshold(std::string_view text);
Result<std::vector<Threshold>> parse_thresholds(const std::vector<std::string>& texts,
                                                const std::vector<RequestName>& names);

ThresholdResult evaluate(const Threshold& threshold, const Measurement& measured, double duration_s);

}  // namespace flux::loadtest
