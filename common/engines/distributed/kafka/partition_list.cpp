#include "common/engines/distributed/kafka/partition_list.hpp"

namespace flux::kafka {

std::vector<TopicPartition> to_sources(const rd_kafka_topic_partition_list_t& list) {
  std::vector<TopicPartition> sources;
  sources.reserve(static_cast<std::size_t>(list.cnt));
  for (int i = 0; i < list.cnt; ++i)
    sources.push_back({.topic = list.elems[i].topic, .partition = list.elems[i].partition});
  return sources;
}

PartitionList to_list(const std::vector<TopicPartition>& partitions) {
  PartitionList list{rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size()))};
  for (const TopicPartition& p : partitions)
    rd_kafka_topic_partition_list_add(list.get(), p.topic.c_str(), p.partition);
  return list;
}

}  // namespace flux::kafka
