#pragma once
// The librdkafka properties of each kind of client: what flux needs for its
// promises, then what the user set on top.

#include <cstdint>
#include <string>

#include "common/core/result.hpp"
#include "common/engines/distributed/kafka/handles.hpp"
#include "common/engines/distributed/kafka/kafka_engine.hpp"

namespace flux::kafka {

Result<ConfHandle> producer_properties(const KafkaOptions& options);
Result<ConfHandle> consumer_properties(const KafkaOptions& options, const ConsumerOptions& consumer);
Result<ConfHandle> admin_properties(const KafkaOptions& options);

int to_ms(Duration d);  // rounded up, clamped to what librdkafka takes as a timeout

}  // namespace flux::kafka
