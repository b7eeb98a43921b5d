#pragma once
// A member of a consumer group. Cooperative-sticky: a rebalance takes away only the
// partitions that move, and the others keep delivering.

#include <memory>

#include "common/core/result.hpp"
#include "common/engines/distributed/kafka/kafka_engine.hpp"
#include "common/ports/event_log.hpp"

namespace flux::kafka {

Result<std::unique_ptr<EventConsumer>> make_consumer(const KafkaOptions& options,
                                                     const ConsumerOptions& consumer);

}  // namespace flux::kafka
