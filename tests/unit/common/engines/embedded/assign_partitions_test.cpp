#include "common/engines/embedded/assign_partitions.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace flux::embedded {
namespace {

std::vector<PartitionPlace> unassigned(const std::string& topic, int count) {
  std::vector<PartitionPlace> places;
  for (int i = 0; i < count; ++i) places.push_back({{topic, i}, ""});
  return places;
}

std::vector<GroupMember> readers(std::initializer_list<const char*> ids) {
  std::vector<GroupMember> members;
  for (const char* id : ids) members.push_back({id, {"orders"}});
  return members;
}

std::map<std::string, int> counts(const std::vector<PartitionPlace>& places) {
  std::map<std::string, int> counts;
  for (const PartitionPlace& place : places) ++counts[place.member];
  return counts;
}

int moved(const std::vector<PartitionPlace>& before, const std::vector<PartitionPlace>& after) {
  int count = 0;
  for (std::size_t i = 0; i < before.size(); ++i) count += before[i].member != after[i].member ? 1 : 0;
  return count;
}

TEST(AssignPartitions, BalancesToWithinOne) {
  auto places = unassigned("orders", 12);
  assign_partitions(readers({"a", "b", "c", "d", "e"}), places);
  for (const auto& [member, count] : counts(places)) {
    EXPECT_FALSE(member.empty());
    EXPECT_TRUE(count == 2 || count == 3) << member;
  }
}

TEST(AssignPartitions, MovesOnlyWhatANewMemberNeeds) {
  auto places = unassigned("orders", 12);
  assign_partitions(readers({"a", "b"}), places);
  const auto before = places;
  assign_partitions(readers({"a", "b", "c"}), places);
  EXPECT_EQ(counts(places), (std::map<std::string, int>{{"a", 4}, {"b", 4}, {"c", 4}}));
  EXPECT_EQ(moved(before, places), 4);
}

TEST(AssignPartitions, MovesOnlyWhatALeavingMemberHad) {
  auto places = unassigned("orders", 12);
  assign_partitions(readers({"a", "b", "c"}), places);
  const auto before = places;
  assign_partitions(readers({"a", "c"}), places);
  EXPECT_EQ(counts(places), (std::map<std::string, int>{{"a", 6}, {"c", 6}}));
  EXPECT_EQ(moved(before, places), 4);
}

TEST(AssignPartitions, GivesNobodyATopicItDoesNotRead) {
  auto places = unassigned("orders", 4);
  const auto more = unassigned("jobs", 2);
  places.insert(places.end(), more.begin(), more.end());
  assign_partitions({{"a", {"orders"}}, {"b", {"orders"}}}, places);
  for (const PartitionPlace& place : places) EXPECT_EQ(place.member.empty(), place.partition.topic == "jobs");
}

TEST(AssignPartitions, DoesNotDependOnTheOrderOfItsInput) {
  std::mt19937 random{7};
  auto expected = unassigned("orders", 20);
  assign_partitions(readers({"a", "b", "c"}), expected);
  for (int round = 0; round < 20; ++round) {
    auto members = readers({"a", "b", "c"});
    auto places = unassigned("orders", 20);
    std::shuffle(members.begin(), members.end(), random);
    std::shuffle(places.begin(), places.end(), random);
    assign_partitions(members, places);
    EXPECT_EQ(moved(expected, places), 0);
  }
}

}  // namespace
}  // namespace flux::embedded
