#include "cli/loadtest/latency_histogram.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>

namespace flux::loadtest {
namespace {

// calloc, not new: fresh pages come zeroed from the kernel and are allocated on first write only.
std::uint64_t* zeroed(std::size_t slots) {
  auto* memory = static_cast<std::uint64_t*>(std::calloc(slots, sizeof(std::uint64_t)));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

LatencyHistogram::LatencyHistogram() : counts_(zeroed(kSlots)) {}

LatencyHistogram::LatencyHistogram(const LatencyHistogram& other) : LatencyHistogram() {
  merge(other);
}

LatencyHistogram& LatencyHistogram::operator=(const LatencyHistogram& other) {
  if (this != &other) {
    clear();
    merge(other);
  }
  return *this;
}

std::int64_t LatencyHistogram::highest_of(std::uint32_t index) {
  if (index < kSubBuckets) return index;
  const std::uint32_t bucket = index / kHalf - 1;
  const std::uint64_t sub = index - bucket * kHalf;
  return static_cast<std::int64_t>(((sub + 1) << bucket) - 1);
}

std::int64_t LatencyHistogram::middle_of(std::uint32_t index) {
  if (index < kSubBuckets) return index;
  const std::uint32_t bucket = index / kHalf - 1;
  return highest_of(index) - (std::int64_t{1} << bucket) / 2;
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
  if (other.total_ == 0) return;
  for (std::uint32_t i = index_of(other.min_); i <= index_of(other.max_); ++i)
    if (other.counts_.get()[i] != 0) counts_.get()[i] += other.counts_.get()[i];
  min_ = total_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
  total_ += other.total_;
}

void LatencyHistogram::merge(const HistogramDelta& delta) {
  if (delta.total == 0) return;
  for (const auto& [index, count] : delta.counts) counts_.get()[index] += count;
  min_ = total_ == 0 ? delta.min_ns : std::min(min_, delta.min_ns);
  max_ = std::max(max_, delta.max_ns);
  sum_ += delta.sum_ns;
  total_ += delta.total;
}

HistogramDelta LatencyHistogram::take() {
  HistogramDelta delta{{}, total_, sum_, min(), max_};
  if (total_ != 0)
    for (std::uint32_t i = index_of(min_); i <= index_of(max_); ++i)
      if (std::uint64_t& count = counts_.get()[i]; count != 0) {
        delta.counts.emplace_back(i, count);
        count = 0;
      }
  total_ = 0;
  sum_ = 0;
  min_ = max_ = 0;
  return delta;
}

void LatencyHistogram::clear() {
  if (total_ != 0)
    for (std::uint32_t i = index_of(min_); i <= index_of(max_); ++i) counts_.get()[i] = 0;
  total_ = 0;
  sum_ = 0;
  min_ = max_ = 0;
}

double LatencyHistogram::standard_deviation() const {
  if (total_ == 0) return 0;
  const double average = mean();
  double squares = 0;
  for (std::uint32_t i = index_of(min_); i <= index_of(max_); ++i)
    if (const std::uint64_t count = counts_.get()[i]; count != 0) {
      const double distance = static_cast<double>(middle_of(i)) - average;
      squares += distance * distance * static_cast<double>(count);
    }
  return std::sqrt(squares / static_cast<double>(total_));
}

std::int64_t LatencyHistogram::percentile(double percent) const {
  if (total_ == 0) return 0;
  // The small step back keeps 99.9 % of 1000 at rank 999 although 0.999 is not exact in binary.
  const double exact = std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(total_);
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(exact - 1e-6)));
  if (rank >= total_) return max_;
  if (percent <= 0) return min_;
  std::uint64_t seen = 0;
  for (std::uint32_t i = index_of(min_); i <= index_of(max_); ++i) {
    seen += counts_.get()[i];
    if (seen >= rank) return std::clamp(middle_of(i), min_, max_);
  }
  return max_;
}

std::uint64_t LatencyHistogram::count_up_to(std::int64_t ns) const {
  if (total_ == 0 || ns < min_) return 0;
  std::uint64_t seen = 0;
  const std::uint32_t last = std::min(index_of(std::min(ns, kHighest)), index_of(max_));
  for (std::uint32_t i = index_of(min_); i <= last; ++i) seen += counts_.get()[i];
  return seen;
}

std::string LatencyHistogram::hgrm() const {
  constexpr double kMs = 1e6;
  constexpr int kTicksPerHalfDistance = 5;
  char line[128];
  std::snprintf(line, sizeof line, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
                "1/(1-Percentile)");
  std::string text = line;
  double level = 0;
  std::uint64_t seen = 0;
  for (std::uint32_t i = index_of(min()); total_ != 0 && i <= index_of(max_); ++i) {
    if (counts_.get()[i] == 0) continue;
    seen += counts_.get()[i];
    const double reached = 100 * static_cast<double>(seen) / static_cast<double>(total_);
    while (seen < total_ && level <= reached) {
      const double value = static_cast<double>(std::min(highest_of(i), max_)) / kMs;
      std::snprintf(line, sizeof line, "%12.3f %2.12f %10llu %14.2f\n", value, level / 100,
                    static_cast<unsigned long long>(seen), 1 / (1 - level / 100));
      text += line;
      const double halvings = std::floor(std::log2(100 / (100 - level))) + 1;
      level += 100 / (kTicksPerHalfDistance * std::pow(2, halvings));
    }
  }
  std::snprintf(line, sizeof line, "%12.3f %2.12f %10llu\n", static_cast<double>(max_) / kMs, 1.0,
                static_cast<unsigned long long>(total_));
  text += line;
  std::snprintf(line, sizeof line, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean() / kMs,
                standard_deviation() / kMs);
  text += line;
  std::snprintf(line, sizeof line, "#[Max     = %12.3f, Total count    = %12llu]\n",
                static_cast<double>(max_) / kMs, static_cast<unsigned long long>(total_));
  text += line;
  std::snprintf(line, sizeof line, "#[Buckets = %12u, SubBuckets     = %12u]\n", kSlots / kHalf - 1,
                kSubBuckets);
  return text + line;
}

}  // namespace flux::loadtest
