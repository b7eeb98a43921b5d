#include "common/core/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace flux {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

Error malformed(std::string_view kind, std::string_view text, std::string_view examples) {
  return {Errc::invalid_argument, "not a " + std::string(kind) + ": '" + std::string(text) + "'",
          "write it like " + std::string(examples)};
}

// A non-negative decimal number; `rest` receives what follows it.
bool leading_number(std::string_view text, double& value, std::string_view& rest) {
  if (text.empty() || (text[0] != '.' && (text[0] < '0' || text[0] > '9'))) return false;
  const auto [end, ec] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (ec != std::errc{} || !std::isfinite(value)) return false;
  rest = text.substr(static_cast<std::size_t>(end - text.data()));
  return true;
}

template <std::size_t N>
const Unit* find_unit(const std::array<Unit, N>& units, std::string_view name) {
  for (const Unit& unit : units)
    if (unit.name == name) return &unit;
  return nullptr;
}

constexpr std::array<Unit, 7> kTimes{
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}}};
constexpr std::array<Unit, 16> kSizes{{{"", 1},
                                       {"B", 1},
                                       {"k", 1e3},
                                       {"KB", 1e3},
                                       {"kB", 1e3},
                                       {"MB", 1e6},
                                       {"GB", 1e9},
                                       {"TB", 1e12},
                                       {"KiB", 1024.0},
                                       {"MiB", 1048576.0},
                                       {"GiB", 1073741824.0},
                                       {"TiB", 1099511627776.0},
                                       {"Ki", 1024.0},
                                       {"Mi", 1048576.0},
                                       {"Gi", 1073741824.0},
                                       {"Ti", 1099511627776.0}}};
constexpr std::array<Unit, 5> kCounts{{{"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}}};

constexpr double kLargest = 9.0e18;  // fits both std::int64_t and std::uint64_t

// `digits` significant digits without an exponent and without trailing zeros.
std::string shortest(double value, int digits, const char* unit) {
  const double size = std::fabs(value);
  const int whole_digits = size < 1 ? 1 : static_cast<int>(std::log10(size)) + 1;
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", std::max(0, digits - whole_digits), value);
  std::string text = buffer;
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text + unit;
}

std::string printed(const char* format, double value, const char* unit) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value, unit);
  return buffer;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const auto bad = malformed("duration", text, "500ms, 2s, 1m30s or 1h");
  if (text == "0") return Duration::zero();
  double total = 0;
  std::string_view rest = text;
  if (rest.empty()) return bad;
  while (!rest.empty()) {
    double value = 0;
    if (!leading_number(rest, value, rest)) return bad;
    const auto unit_length = std::min(rest.find_first_of("0123456789."), rest.size());
    const Unit* unit = find_unit(kTimes, rest.substr(0, unit_length));
    if (unit == nullptr) return bad;
    total += value * unit->factor;
    rest.remove_prefix(unit_length);
  }
  if (total > kLargest) return bad;
  return Duration{std::llround(total)};
}

Result<std::uint64_t> parse_size(std::string_view text) {
  double value = 0;
  std::string_view rest;
  if (leading_number(text, value, rest))
    if (const Unit* unit = find_unit(kSizes, rest); unit != nullptr && value * unit->factor <= kLargest)
      return static_cast<std::uint64_t>(std::llround(value * unit->factor));
  return malformed("size", text, "64KiB or 10MB");
}

Result<std::uint64_t> parse_count(std::string_view text) {
  double value = 0;
  std::string_view rest;
  if (leading_number(text, value, rest)) {
    if (const Unit* unit = find_unit(kCounts, rest); unit != nullptr && value * unit->factor <= kLargest) {
      const double whole = std::round(value * unit->factor);
      // 2.3k is 2299.9999999999998 in binary, and still a whole number.
      if (std::fabs(whole - value * unit->factor) <= whole * 1e-12) return static_cast<std::uint64_t>(whole);
    }
  }
  return malformed("count", text, "500, 10k or 1.5M");
}

Result<double> parse_percent(std::string_view text) {
  double value = 0;
  std::string_view rest;
  if (leading_number(text, value, rest)) {
    if (rest == "%") return value / 100;
    if (rest.empty()) return value;
  }
  return malformed("percentage", text, "0.1% or 0.001");
}

std::string format_duration(Duration d) {
  const double ns = static_cast<double>(d.count());
  if (ns < 0) return "-" + format_duration(-d);
  if (ns < 1e3) return printed("%.0f%s", ns, "ns");
  if (ns < 999.5e3) return shortest(ns / 1e3, 3, "us");
  if (ns < 999.5e6) return shortest(ns / 1e6, 3, "ms");
  if (ns < 60e9) return shortest(ns / 1e9, 3, "s");
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(d).count();
  const auto pair =
      seconds < 3600 ? std::pair{seconds / 60, seconds % 60} : std::pair{seconds / 3600, seconds % 3600 / 60};
  const char* big = seconds < 3600 ? "m" : "h";
  std::string text = std::to_string(pair.first) + big;
  if (pair.second != 0) text += std::to_string(pair.second) + (seconds < 3600 ? "s" : "m");
  return text;
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  return printed(unit == 0 ? "%.0f %s" : "%.1f %s", value, kNames[unit]);
}

std::string format_count(double n) {
  if (std::fabs(n) >= 1e9) return shortest(n / 1e9, 4, "G");
  if (std::fabs(n) >= 1e6) return shortest(n / 1e6, 4, "M");
  if (std::fabs(n) >= 1e4) return shortest(n / 1e3, 4, "k");
  return shortest(n, 4, "");
}

}  // namespace flux
