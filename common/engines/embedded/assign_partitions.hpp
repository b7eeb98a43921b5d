#pragma once
// Who of a group reads which partition: a pure function, so that every member
// comes to the same answer. Balanced to within one partition, and moves no
// partition that need not move.

#include <string>
#include <vector>

#include "common/ports/event_log.hpp"

namespace flux::embedded {

struct GroupMember {
  std::string id;
  std::vector<std::string> topics;
};

struct PartitionPlace {
  TopicPartition partition;
  std::string member{};  // who has it; empty: nobody
};

// Sets every place's member; empty where no member reads the topic.
void assign_partitions(const std::vector<GroupMember>& members, std::vector<PartitionPlace>& places);

}  // namespace flux::embedded
