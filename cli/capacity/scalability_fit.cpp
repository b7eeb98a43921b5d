#include "cli/capacity/scalability_fit.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <cstdio>
#include <set>

namespace flux::capacity {
namespace {

constexpr std::size_t kFewestPoints = 6;
constexpr int kParameters = 3;

struct Shape {  // of the curve, without its height
  double alpha = 0;
  double beta = 0;
};

double denominator(const Shape& s, double n) {
  return 1 + s.alpha * (n - 1) + s.beta * n * (n - 1);
}

struct Solution {
  Shape shape{};
  double gamma = 0;
  double sse = 0;  // sum of squared errors
};

// For a given shape the best gamma is linear least squares.
Solution solve_gamma(std::span<const LoadPoint> points, const Shape& shape) {
  double xf = 0;
  double ff = 0;
  for (const LoadPoint& p : points) {
    const double f = p.n / denominator(shape, p.n);
    xf += p.throughput * f;
    ff += f * f;
  }
  Solution s{shape, ff > 0 ? xf / ff : 0};
  for (const LoadPoint& p : points) {
    const double error = p.throughput - s.gamma * p.n / denominator(shape, p.n);
    s.sse += error * error;
  }
  return s;
}

// Normal equations of the shape, with gamma's direction taken out (Kaufman).
struct Normal {
  double aa = 0, ab = 0, bb = 0;  // J'J
  double ga = 0, gb = 0;          // J'r
};

Normal normal_equations(std::span<const LoadPoint> points, const Solution& s) {
  double ff = 0, fa = 0, fb = 0;
  const auto columns = [&s](const LoadPoint& p) {
    const double d = denominator(s.shape, p.n);
    const double f = p.n / d;
    const double slope = -s.gamma * p.n / (d * d);
    return std::array{f, slope * (p.n - 1), slope * p.n * (p.n - 1)};
  };
  for (const LoadPoint& p : points) {
    const auto [f, a, b] = columns(p);
    ff += f * f;
    fa += f * a;
    fb += f * b;
  }
  Normal n;
  for (const LoadPoint& p : points) {
    const auto [f, da, db] = columns(p);
    const double a = da - f * fa / ff;
    const double b = db - f * fb / ff;
    const double r = p.throughput - s.gamma * f;
    n.aa += a * a;
    n.ab += a * b;
    n.bb += b * b;
    n.ga += a * r;
    n.gb += b * r;
  }
  return n;
}

bool blocked(double at, double direction) {
  return (at <= 0 && direction < 0) || (at >= 1 && direction > 0);
}

// One damped step, kept inside the bounds; a parameter that presses against its bound stays there.
Shape step(const Shape& from, const Normal& n, double damping) {
  const bool a_fixed = blocked(from.alpha, n.ga) || n.aa <= 0;
  const bool b_fixed = blocked(from.beta, n.gb) || n.bb <= 0;
  const double aa = n.aa * (1 + damping);
  const double bb = n.bb * (1 + damping);
  double da = 0;
  double db = 0;
  if (!a_fixed && !b_fixed) {
    const double determinant = aa * bb - n.ab * n.ab;
    if (determinant > 0) {
      da = (n.ga * bb - n.gb * n.ab) / determinant;
      db = (n.gb * aa - n.ga * n.ab) / determinant;
    }
    // A full step that leaves the bounds is retried along the free parameter alone.
    if (blocked(from.alpha, da)) {
      da = 0;
      db = n.gb / bb;
    } else if (blocked(from.beta, db)) {
      db = 0;
      da = n.ga / aa;
    }
  } else if (!a_fixed) {
    da = n.ga / aa;
  } else if (!b_fixed) {
    db = n.gb / bb;
  }
  return {std::clamp(from.alpha + da, 0.0, 1.0), std::clamp(from.beta + db, 0.0, 1.0)};
}

// Levenberg-Marquardt on the two shape parameters.
Solution descend(std::span<const LoadPoint> points, Solution s) {
  double damping = 1e-3;
  for (int i = 0; i < 500 && damping < 1e12; ++i) {
    const Normal n = normal_equations(points, s);
    const Solution next = solve_gamma(points, step(s.shape, n, damping));
    if (!(next.sse < s.sse)) {
      damping *= 10;
      continue;
    }
    const bool settled = s.sse - next.sse <= 1e-15 * s.sse;
    s = next;
    damping = std::max(damping / 10, 1e-12);
    if (settled) break;
  }
  return s;
}

// The sum of squares can have several valleys: start in the best few places of a grid.
Solution best_solution(std::span<const LoadPoint> points) {
  std::vector<double> grid{0};
  for (double exponent = -9; exponent <= 0; exponent += 0.5) grid.push_back(std::pow(10, exponent));
  std::vector<Solution> starts;
  for (const double alpha : grid)
    for (const double beta : grid) starts.push_back(solve_gamma(points, {alpha, beta}));
  constexpr std::size_t kStarts = 12;
  std::ranges::partial_sort(starts, starts.begin() + kStarts, {}, &Solution::sse);
  Solution best = starts.front();
  for (std::size_t i = 0; i < kStarts; ++i)
    if (const Solution s = descend(points, starts[i]); s.sse < best.sse) best = s;
  return best;
}

// Two-sided 95 % quantile of Student's t, by Cornish and Fisher's expansion: within 0.1 % from 3 up.
double student_t(double freedom) {
  constexpr double z = 1.959963984540054;
  const double z2 = z * z;
  const double g1 = z * (z2 + 1) / 4;
  const double g2 = z * ((5 * z2 + 16) * z2 + 3) / 96;
  const double g3 = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
  const double g4 = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
  return z + (g1 + (g2 + (g3 + g4 / freedom) / freedom) / freedom) / freedom;
}

using Matrix = std::array<std::array<double, kParameters>, kParameters>;

// The inverse of J'J, or nothing when the data does not tell the parameters apart. Scaled by
// its diagonal first: beta is many orders smaller than gamma.
std::optional<Matrix> inverse(Matrix m) {
  std::array<double, kParameters> scale{};
  for (std::size_t i = 0; i < kParameters; ++i) {
    if (!(m[i][i] > 0)) return std::nullopt;
    scale[i] = std::sqrt(m[i][i]);
  }
  Matrix result{};
  for (std::size_t i = 0; i < kParameters; ++i) {
    result[i][i] = 1;
    for (std::size_t j = 0; j < kParameters; ++j) m[i][j] /= scale[i] * scale[j];
  }
  for (std::size_t pivot = 0; pivot < kParameters; ++pivot) {  // positive definite: no row exchange needed
    if (!(m[pivot][pivot] > 1e-13)) return std::nullopt;
    const double by = m[pivot][pivot];
    for (std::size_t j = 0; j < kParameters; ++j) {
      m[pivot][j] /= by;
      result[pivot][j] /= by;
    }
    for (std::size_t i = 0; i < kParameters; ++i) {
      if (i == pivot) continue;
      const double factor = m[i][pivot];
      for (std::size_t j = 0; j < kParameters; ++j) {
        m[i][j] -= factor * m[pivot][j];
        result[i][j] -= factor * result[pivot][j];
      }
    }
  }
  for (std::size_t i = 0; i < kParameters; ++i)
    for (std::size_t j = 0; j < kParameters; ++j) result[i][j] /= scale[i] * scale[j];
  return result;
}

Matrix information(std::span<const LoadPoint> points, const Solution& s) {
  Matrix m{};
  for (const LoadPoint& p : points) {
    const double d = denominator(s.shape, p.n);
    const double slope = -s.gamma * p.n / (d * d);
    const std::array row{slope * (p.n - 1), slope * p.n * (p.n - 1), p.n / d};
    for (std::size_t i = 0; i < kParameters; ++i)
      for (std::size_t j = 0; j < kParameters; ++j) m[i][j] += row[i] * row[j];
  }
  return m;
}

void add_intervals(ScalabilityFit& fit, std::span<const LoadPoint> points, const Solution& s) {
  const double freedom = static_cast<double>(points.size()) - kParameters;
  const double variance = s.sse / freedom;
  const double t = student_t(freedom);
  const auto unscaled = inverse(information(points, s));
  fit.ci.alpha = {0, 1};
  fit.ci.beta = {0, 1};
  fit.ci.gamma = {0, std::nullopt};
  fit.ci.peak_n = {1, std::nullopt};
  fit.ci.peak_throughput = {0, std::nullopt};
  if (!unscaled) {
    fit.notes.push_back("the points do not tell the parameters apart: no confidence intervals");
    return;
  }
  const auto covariance = [&](std::size_t i, std::size_t j) { return variance * (*unscaled)[i][j]; };
  const auto around = [&](double value, double square_error, double most) {
    const double error = std::sqrt(std::max(0.0, square_error));
    return Interval{std::max(0.0, value - t * error), std::min(most, value + t * error)};
  };
  fit.ci.alpha = around(fit.alpha, covariance(0, 0), 1);
  fit.ci.beta = around(fit.beta, covariance(1, 1), 1);
  fit.ci.gamma = around(fit.gamma, covariance(2, 2), HUGE_VAL);
  if (!fit.peak_n && fit.roof) {  // the roof is where throughput tends to
    const double by_alpha = -*fit.roof / fit.alpha;
    const double by_gamma = 1 / fit.alpha;
    const double roof_variance = by_alpha * by_alpha * covariance(0, 0) +
                                 2 * by_alpha * by_gamma * covariance(0, 2) +
                                 by_gamma * by_gamma * covariance(2, 2);
    fit.ci.peak_throughput = around(*fit.roof, roof_variance, HUGE_VAL);
    if (fit.ci.alpha.low <= 0) fit.ci.peak_throughput.high.reset();
  }
  if (!fit.peak_n || fit.alpha >= 1) return;

  // By the delta method; the peak's place on a log scale, because it cannot be below 0.
  const double rest = 1 - fit.alpha;
  const double log_variance = (covariance(0, 0) / (rest * rest) + 2 * covariance(0, 1) / (rest * fit.beta) +
                               covariance(1, 1) / (fit.beta * fit.beta)) /
                              4;
  const double factor = std::exp(t * std::sqrt(std::max(0.0, log_variance)));
  fit.ci.peak_n.low = *fit.peak_n / factor;
  if (fit.ci.beta.low > 0) fit.ci.peak_n.high = *fit.peak_n * factor;
  // At the peak the curve is flat in N, so only the parameters matter.
  const double n = *fit.peak_n;
  const double d = denominator(s.shape, n);
  const double slope = -s.gamma * n / (d * d);
  const std::array gradient{slope * (n - 1), slope * n * (n - 1), n / d};
  double peak_variance = 0;
  for (std::size_t i = 0; i < kParameters; ++i)
    for (std::size_t j = 0; j < kParameters; ++j)
      peak_variance += gradient[i] * gradient[j] * covariance(i, j);
  fit.ci.peak_throughput = around(*fit.peak_throughput, peak_variance, HUGE_VAL);
}

void add_notes(ScalabilityFit& fit) {
  char text[200];
  if (fit.beta <= 0)
    fit.notes.push_back(
        "throughput does not fall in the data (beta is 0): there is no peak to name, and the roof is where "
        "the law "
        "tends to, not a measurement");
  else if (fit.ci.beta.low <= 0)
    fit.notes.push_back("beta may be 0: the data does not prove that there is a peak");
  if (fit.peak_n && *fit.peak_n > fit.largest_n) {
    std::snprintf(
        text, sizeof text,
        "the peak at %.4g lies beyond the largest measured n of %.4g: it is extrapolated, not measured",
        *fit.peak_n, fit.largest_n);
    fit.notes.emplace_back(text);
  }
  if (fit.alpha <= 0 && fit.beta <= 0)
    fit.notes.push_back("throughput grows at least as fast as n: no limit is visible in the data");
  if (fit.r2 < 0.9) {
    std::snprintf(text, sizeof text, "the law explains only %.0f %% of the variance: do not plan with it",
                  100 * std::max(0.0, fit.r2));
    fit.notes.emplace_back(text);
  }
}

}  // namespace

double ScalabilityFit::throughput_at(double n) const {
  return gamma * n / denominator({alpha, beta}, n);
}

Result<ScalabilityFit> fit_scalability(std::span<const LoadPoint> points) {
  std::set<double> loads;
  for (const LoadPoint& p : points) loads.insert(p.n);
  if (points.size() < kFewestPoints || loads.size() < kParameters + 1)
    return Error{Errc::invalid_argument,
                 "a fit needs at least " + std::to_string(kFewestPoints) +
                     " points at 4 or more different n; there are " + std::to_string(points.size()) + " at " +
                     std::to_string(loads.size()),
                 "measure at more loads, from 1 to past the point where throughput stops to grow"};
  const Solution s = best_solution(points);
  ScalabilityFit fit;
  fit.alpha = s.shape.alpha;
  fit.beta = s.shape.beta;
  fit.gamma = s.gamma;
  fit.smallest_n = *loads.begin();
  fit.largest_n = *loads.rbegin();
  double mean = 0;
  for (const LoadPoint& p : points) mean += p.throughput / static_cast<double>(points.size());
  double total = 0;
  for (const LoadPoint& p : points) total += (p.throughput - mean) * (p.throughput - mean);
  fit.r2 = total > 0 ? 1 - s.sse / total : 0;
  if (fit.alpha > 0) fit.roof = fit.gamma / fit.alpha;
  if (fit.beta > 0) {
    fit.peak_n = std::max(1.0, std::sqrt((1 - fit.alpha) / fit.beta));
    fit.peak_throughput = fit.throughput_at(*fit.peak_n);
  } else {
    fit.peak_throughput = fit.roof;
  }
  add_intervals(fit, points, s);
  add_notes(fit);
  return fit;
}

std::string to_json(const ScalabilityFit& fit) {
  namespace json = boost::json;
  const auto number = [](const std::optional<double>& v) { return v ? json::value(*v) : json::value(); };
  const auto interval = [&](const Interval& i) { return json::array{i.low, number(i.high)}; };
  json::array notes;
  for (const auto& note : fit.notes) notes.emplace_back(note);
  return json::serialize(json::object{{"alpha", fit.alpha},
                                      {"beta", fit.beta},
                                      {"gamma", fit.gamma},
                                      {"peak_n", number(fit.peak_n)},
                                      {"peak_throughput", number(fit.peak_throughput)},
                                      {"roof", number(fit.roof)},
                                      {"r2", fit.r2},
                                      {"ci",
                                       {{"level", 0.95},
                                        {"alpha", interval(fit.ci.alpha)},
                                        {"beta", interval(fit.ci.beta)},
                                        {"gamma", interval(fit.ci.gamma)},
                                        {"peak_n", interval(fit.ci.peak_n)},
                                        {"peak_throughput", interval(fit.ci.peak_throughput)}}},
                                      {"measured_n", {fit.smallest_n, fit.largest_n}},
                                      {"notes", notes}});
}

}  // namespace flux::capacity
