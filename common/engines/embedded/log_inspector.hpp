#pragma once
// Looks at the embedded event log from outside, also while nothing runs.

#include <memory>

#include "common/core/result.hpp"
#include "common/engines/embedded/embedded_engines.hpp"
#include "common/ports/log_inspector.hpp"

namespace flux::embedded {

// Creates no file; `not_found` when the data directory holds no log.
Result<std::unique_ptr<LogInspector>> open_log_inspector(const EmbeddedOptions& options);

}  // namespace flux::embedded
