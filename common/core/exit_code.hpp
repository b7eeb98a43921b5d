#pragma once
// The exit codes that scripts rely on, and the one place where an Error becomes one.

#include "common/core/error.hpp"

namespace flux {

enum class ExitCode : int {
  done = 0,
  failed = 1,
  usage = 2,
  threshold = 3,
  refused = 4,
  unreachable = 5,
  not_valid = 6,
  interrupted = 130,
  terminated = 143,
};

ExitCode exit_code_of(Errc code);

}  // namespace flux
