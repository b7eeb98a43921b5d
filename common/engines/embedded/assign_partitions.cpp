#include "common/engines/embedded/assign_partitions.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace flux::embedded {
namespace {

struct Load {
  std::set<std::string> topics;
  int partitions = 0;
};

using Loads = std::map<std::string, Load>;  // ordered by id: ties fall the same way everywhere

// The least loaded member that reads the topic; end: none does.
Loads::iterator least_loaded(Loads& loads, const std::string& topic) {
  auto best = loads.end();
  for (auto it = loads.begin(); it != loads.end(); ++it) {
    if (!it->second.topics.contains(topic)) continue;
    if (best == loads.end() || it->second.partitions < best->second.partitions) best = it;
  }
  return best;
}

// Moves one partition to a member that has at least two fewer. False: balanced.
bool move_one(Loads& loads, std::vector<PartitionPlace>& places) {
  PartitionPlace* chosen = nullptr;
  Loads::iterator receiver;
  int widest = 1;
  for (PartitionPlace& place : places) {
    if (place.member.empty()) continue;
    const auto to = least_loaded(loads, place.partition.topic);
    const int gap = loads.at(place.member).partitions - to->second.partitions;
    if (gap > widest) {
      widest = gap;
      chosen = &place;
      receiver = to;
    }
  }
  if (chosen == nullptr) return false;
  --loads.at(chosen->member).partitions;
  ++receiver->second.partitions;
  chosen->member = receiver->first;
  return true;
}

}  // namespace

void assign_partitions(const std::vector<GroupMember>& members, std::vector<PartitionPlace>& places) {
  Loads loads;
  for (const GroupMember& member : members)
    loads[member.id].topics = {member.topics.begin(), member.topics.end()};
  std::sort(places.begin(), places.end(),
            [](const PartitionPlace& a, const PartitionPlace& b) { return a.partition < b.partition; });
  for (PartitionPlace& place : places) {
    const auto owner = loads.find(place.member);
    if (owner == loads.end() || !owner->second.topics.contains(place.partition.topic)) {
      place.member.clear();
    } else {
      ++owner->second.partitions;
    }
  }
  for (PartitionPlace& place : places) {
    if (!place.member.empty()) continue;
    const auto to = least_loaded(loads, place.partition.topic);
    if (to == loads.end()) continue;
    place.member = to->first;
    ++to->second.partitions;
  }
  while (move_one(loads, places)) {
  }
}

}  // namespace flux::embedded
