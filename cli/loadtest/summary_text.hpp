#pragma once
// A result as people read it: thresholds first, then service and response time
// side by side, errors by kind, every request name.

#include <string>

#include "cli/loadtest/result.hpp"

namespace flux::loadtest {

std::string summary_text(const RunResult& result, bool color);

// "1.24 ms", "318 µs", "2.10 s": three digits, the unit that fits.
std::string latency_text(double ms);

}  // namespace flux::loadtest
