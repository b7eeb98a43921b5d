#pragma once
// Partitions as librdkafka lists them and as the port names them.

#include <vector>

#include "common/engines/distributed/kafka/handles.hpp"
#include "common/ports/event_log.hpp"

namespace flux::kafka {

std::vector<TopicPartition> to_sources(const rd_kafka_topic_partition_list_t& list);
PartitionList to_list(const std::vector<TopicPartition>& partitions);

}  // namespace flux::kafka
