#pragma once
// Durations (500ms 2s 1m 1h), sizes (64KiB 10MB), counts (10k 1.5M) and
// percentages as people write them; and the same values printed for people.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"

namespace flux {

Result<Duration> parse_duration(std::string_view text);    // a bare 0 is allowed, other bare numbers are not
Result<std::uint64_t> parse_size(std::string_view text);   // bytes; KB=1000, KiB=1024
Result<std::uint64_t> parse_count(std::string_view text);  // whole numbers: 1.5k is, 1.5 is not
Result<double> parse_percent(std::string_view text);       // "0.1%" -> 0.001; "0.001" -> 0.001

std::string format_duration(Duration d);       // "1.24s", "500ms", "2m30s"
std::string format_size(std::uint64_t bytes);  // "64.0 KiB"
std::string format_count(double n);            // "12.3k"

}  // namespace flux
