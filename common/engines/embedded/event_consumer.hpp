#pragma once
// The embedded log's consumer: a member of a group that reads its partitions
// from the topic files and sleeps until something is appended.

#include <memory>
#include <string>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/engines/embedded/log_signals.hpp"
#include "common/ports/event_log.hpp"

namespace flux::embedded {

Result<std::unique_ptr<EventConsumer>> open_event_consumer(const std::string& log_directory,
                                                           std::shared_ptr<LogSignals> signals,
                                                           const ConsumerOptions& options,
                                                           const Clock& clock);

}  // namespace flux::embedded
