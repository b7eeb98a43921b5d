#pragma once
// Looks at any Kafka cluster from outside.

#include <memory>

#include "common/core/result.hpp"
#include "common/engines/distributed/kafka/kafka_engine.hpp"
#include "common/ports/log_inspector.hpp"

namespace flux::kafka {

// Connects in the background; the first call waits for it.
Result<std::unique_ptr<LogInspector>> open_log_inspector(const KafkaOptions& options);

}  // namespace flux::kafka
