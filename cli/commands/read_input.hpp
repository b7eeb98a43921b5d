#pragma once
// A document given to a command by name.

#include <string>

#include "common/core/result.hpp"

namespace flux::cli {

// The whole file, "-" for stdin; at most 64 MiB. What cannot be read is a usage error.
Result<std::string> read_input(const std::string& file);

}  // namespace flux::cli
