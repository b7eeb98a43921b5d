#pragma once
// Counts of durations from 1 ns to 1 h with three significant digits (the
// HdrHistogram layout), exact minimum and maximum. Not thread-safe: one per
// thread, merged afterwards. Pages that no value touches stay unallocated.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace flux::loadtest {

// What a histogram gathered since it was last emptied, small enough to hand to another thread.
struct HistogramDelta {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> counts{};
  std::uint64_t total = 0;
  double sum_ns = 0;
  std::int64_t min_ns = 0;
  std::int64_t max_ns = 0;
};

class LatencyHistogram {
 public:
  static constexpr std::int64_t kHighest = 3'600'000'000'000;  // longer values count as this

  LatencyHistogram();
  LatencyHistogram(const LatencyHistogram& other);
  LatencyHistogram& operator=(const LatencyHistogram& other);
  LatencyHistogram(LatencyHistogram&&) noexcept = default;
  LatencyHistogram& operator=(LatencyHistogram&&) noexcept = default;

  void record(std::int64_t ns) noexcept {
    if (ns < 0) ns = 0;
    if (ns > kHighest) ns = kHighest;
    ++counts_.get()[index_of(ns)];
    if (ns < min_ || total_ == 0) min_ = ns;
    if (ns > max_) max_ = ns;
    sum_ += static_cast<double>(ns);
    ++total_;
  }

  void merge(const LatencyHistogram& other);
  void merge(const HistogramDelta& delta);
  // Hands over everything gathered and empties the histogram.
  HistogramDelta take();
  void clear();

  std::uint64_t count() const { return total_; }
  std::int64_t min() const { return total_ == 0 ? 0 : min_; }
  std::int64_t max() const { return max_; }
  double mean() const { return total_ == 0 ? 0 : sum_ / static_cast<double>(total_); }
  double standard_deviation() const;
  // The value that `percent` of the recorded values do not exceed (nearest rank); 0 when empty.
  std::int64_t percentile(double percent) const;
  // How many recorded values are at most `ns`, to three digits.
  std::uint64_t count_up_to(std::int64_t ns) const;

  // The text format of HdrHistogram's tools (.hgrm), values in milliseconds.
  std::string hgrm() const;

 private:
  struct Free {
    void operator()(std::uint64_t* p) const { std::free(p); }
  };

  static constexpr std::uint32_t kSubBuckets = 2048;
  static constexpr std::uint32_t kHalf = kSubBuckets / 2;
  static constexpr std::uint32_t kSlots = 33 * kHalf;

  static std::uint32_t index_of(std::int64_t ns) noexcept {
    const auto value = static_cast<std::uint64_t>(ns);
    const auto bucket = static_cast<std::uint32_t>(53 - __builtin_clzll(value | (kSubBuckets - 1)));
    return bucket * kHalf + static_cast<std::uint32_t>(value >> bucket);
  }
  static std::int64_t highest_of(std::uint32_t index);
  static std::int64_t middle_of(std::uint32_t index);

  std::unique_ptr<std::uint64_t, Free> counts_;
  std::uint64_t total_ = 0;
  double sum_ = 0;
  std::int64_t min_ = 0;
  std::int64_t max_ = 0;
};

}  // namespace flux::loadtest
