#pragma once
// Gunther's Universal Scalability Law fitted to measured throughput:
//   X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1))
// alpha: share of the work that is serial (contention); beta: cost of keeping each
// other up to date (coherence); gamma: throughput of one.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace flux::capacity {

struct LoadPoint {
  double n = 0;           // users, threads or replicas
  double throughput = 0;  // per second
};

struct Interval {
  double low = 0;
  std::optional<double> high{};  // none: no upper bound can be given
};

struct ScalabilityFit {
  double alpha = 0;
  double beta = 0;
  double gamma = 0;
  double r2 = 0;
  std::optional<double> peak_n{};           // none: throughput never falls (beta is 0)
  std::optional<double> peak_throughput{};  // none: it grows without bound
  std::optional<double> roof{};             // gamma / alpha, what contention alone allows
  struct {
    Interval alpha, beta, gamma, peak_n, peak_throughput;
  } ci{};                 // 95 %
  double smallest_n = 0;  // of the data
  double largest_n = 0;
  std::vector<std::string> notes{};  // what the data cannot carry

  double throughput_at(double n) const;
};

// At least 6 points; alpha and beta in [0, 1], gamma in closed form, least squares.
Result<ScalabilityFit> fit_scalability(std::span<const LoadPoint> points);

// A CSV file whose header has the columns n and throughput (others are ignored), or two
// columns without a header. Errors name the line: "FILE:7: …".
Result<std::vector<LoadPoint>> parse_load_points(std::string_view csv, const std::string& file);

std::string to_json(const ScalabilityFit& fit);

}  // namespace flux::capacity
