// What is said of groups, over a log that answers from a table.
#include "cli/inspect/group_lag.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "cli/inspect/lag_report.hpp"

namespace flux::inspect {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TableLog final : public LogInspector {
 public:
  std::map<std::string, GroupDescription> described;
  std::map<std::string, std::vector<CommittedOffset>> commits;
  std::map<TopicPartition, std::pair<std::int64_t, std::int64_t>> records;  // start, end

  void add_group(const std::string& name, const std::vector<TopicPartition>& assigned) {
    GroupDescription group{.name = name, .state = assigned.empty() ? "Empty" : "Stable", .members = {}};
    if (!assigned.empty())
      group.members.push_back(
          {.id = "id-1", .client_id = "worker-1", .host = "10.0.0.1", .assigned = assigned});
    described[name] = group;
  }

  Result<std::vector<std::string>> groups() override {
    std::vector<std::string> names;
    for (const auto& [name, group] : described) names.push_back(name);
    return names;
  }
  Result<std::vector<GroupDescription>> describe_groups(const std::vector<std::string>& names) override {
    std::vector<GroupDescription> out;
    for (const auto& name : names) out.push_back(described[name]);
    return out;
  }
  Result<std::vector<std::vector<CommittedOffset>>> committed(
      const std::vector<std::string>& names) override {
    std::vector<std::vector<CommittedOffset>> out;
    for (const auto& name : names) out.push_back(commits[name]);
    return out;
  }
  Result<std::vector<PartitionEnds>> ends(const std::vector<TopicPartition>& partitions) override {
    std::vector<PartitionEnds> out;
    for (const auto& source : partitions) {
      if (!records.contains(source)) return Error{Errc::not_found, "no partition of " + source.topic};
      out.push_back({source, records[source].first, records[source].second});
    }
    return out;
  }
  Result<std::vector<TopicDescription>> topics(const std::optional<std::string>&) override {
    std::map<std::string, TopicDescription> found;
    for (const auto& [source, range] : records) {
      found[source.topic].name = source.topic;
      found[source.topic].partitions.push_back(
          {.id = source.partition, .leader = 1, .replicas = {}, .in_sync = {}});
    }
    std::vector<TopicDescription> out;
    for (const auto& [name, topic] : found) out.push_back(topic);
    return out;
  }
  Result<std::map<std::string, std::string>> topic_settings(const std::string&) override { return Error{}; }
  Result<> create_topic(const TopicSpec&) override { return Error{}; }
  Result<> expand_topic(const std::string&, std::int32_t) override { return Error{}; }
};

class GroupsOfALog : public ::testing::Test {
 protected:
  std::vector<GroupLag> ask(const LagQuestion& question = {}, Duration between = 1s) {
    LagWatch watch{log, question, clock};
    EXPECT_TRUE(watch.discover());
    EXPECT_TRUE(watch.look());
    if (between > 0s) {
      clock.advance(between);
      if (meanwhile) meanwhile();
      EXPECT_TRUE(watch.look());
    }
    return watch.report();
  }
  TableLog log;
  ManualClock clock;
  std::function<void()> meanwhile;
};

TEST_F(GroupsOfALog, RatesAndTheTimeToDrainComeFromTwoLooks) {
  log.records[{"orders", 0}] = {0, 1000};
  log.add_group("inventory", {{"orders", 0}});
  log.commits["inventory"] = {{.source = {"orders", 0}, .offset = 500, .metadata = {}}};
  meanwhile = [&] {
    log.records[{"orders", 0}] = {0, 1100};
    log.commits["inventory"][0].offset = 800;
  };
  const auto groups = ask({.groups = {"inventory"}, .topics = {}});
  ASSERT_THAT(groups, SizeIs(1));
  EXPECT_EQ(groups[0].lag, 300);
  EXPECT_EQ(groups[0].status, LagStatus::ok);
  ASSERT_TRUE(groups[0].rates);
  EXPECT_DOUBLE_EQ(groups[0].rates->in, 100);
  EXPECT_DOUBLE_EQ(groups[0].rates->out, 300);
  EXPECT_EQ(groups[0].eta, Duration{1500ms});
  EXPECT_EQ(
      lag_json(groups),
      R"({"groups":[{"group":"inventory","state":"Stable","status":"ok","members":1,"lag":300,)"
      R"("rate_in":1E2,"rate_out":3E2,"eta_s":1.5E0,"recommended_workers":1,"topics":[{"topic":"orders",)"
      R"("partitions":[{"partition":0,"start":0,"committed":800,"end":1100,"lag":300,"member":"worker-1",)"
      R"("host":"10.0.0.1","status":"ok"}],"lag":300}]}]})");
}

TEST_F(GroupsOfALog, TheWorstPartitionNamesTheGroup) {
  for (int p = 0; p < 3; ++p) log.records[{"orders", p}] = {0, 100};
  log.add_group("g", {{"orders", 0}, {"orders", 1}});
  for (int p = 0; p < 3; ++p)
    log.commits["g"].push_back({.source = {"orders", p}, .offset = 100, .metadata = {}});
  EXPECT_EQ(ask()[0].status, LagStatus::ok);
  log.commits["g"][2].offset = 99;  // and nobody reads it
  const auto groups = ask();
  EXPECT_EQ(groups[0].status, LagStatus::stopped);
  EXPECT_EQ(groups[0].topics[0].partitions[0].status, LagStatus::ok);
  EXPECT_TRUE(is_in_trouble(groups[0], 1000));
}

TEST_F(GroupsOfALog, AGroupWithoutMembersIsEmptyUntilSomethingWaits) {
  log.records[{"orders", 0}] = {0, 100};
  log.add_group("g", {});
  log.commits["g"] = {{.source = {"orders", 0}, .offset = 100, .metadata = {}}};
  EXPECT_EQ(ask()[0].status, LagStatus::empty);
  EXPECT_FALSE(is_in_trouble(ask()[0], 1000));
  log.records[{"orders", 0}].second = 101;
  EXPECT_EQ(ask()[0].status, LagStatus::stopped);
}

TEST_F(GroupsOfALog, RetentionThatOvertookIsSaid) {
  log.records[{"orders", 0}] = {60, 100};
  log.add_group("g", {});
  log.commits["g"] = {{.source = {"orders", 0}, .offset = 20, .metadata = {}}};
  const auto groups = ask({}, 0s);
  EXPECT_EQ(groups[0].lag, 40);
  EXPECT_FALSE(groups[0].rates);
  EXPECT_THAT(lag_text(groups, {}), HasSubstr("retention deleted 40 records of orders unread"));
}

TEST_F(GroupsOfALog, APartitionWithoutACommitCountsFromTheStart) {
  log.records[{"orders", 0}] = {30, 100};
  log.add_group("g", {{"orders", 0}});
  const auto groups = ask();
  EXPECT_EQ(groups[0].lag, 70);
  EXPECT_EQ(groups[0].topics[0].partitions[0].committed, std::nullopt);
}

TEST_F(GroupsOfALog, TheHotPartitionIsNotHiddenInTheSum) {
  log.add_group("g", {});
  for (int p = 0; p < 12; ++p) {
    log.records[{"orders", p}] = {0, p == 7 ? 900 : 20};
    log.commits["g"].push_back({.source = {"orders", p}, .offset = 10, .metadata = {}});
  }
  const auto groups = ask();
  ASSERT_NE(hot_partition(groups[0].topics[0]), nullptr);
  EXPECT_EQ(hot_partition(groups[0].topics[0])->partition, 7);
  for (int p = 0; p < 12; ++p) log.records[{"orders", p}] = {0, 900};
  EXPECT_EQ(hot_partition(ask()[0].topics[0]), nullptr);
}

TEST_F(GroupsOfALog, OffsetsOfDeletedTopicsAreNoLag) {
  log.records[{"orders", 0}] = {0, 100};
  log.add_group("g", {{"orders", 0}});
  log.commits["g"] = {{.source = {"gone", 0}, .offset = 5, .metadata = {}},
                      {.source = {"orders", 0}, .offset = 100, .metadata = {}}};
  const auto groups = ask();
  EXPECT_THAT(groups[0].topics, SizeIs(1));
  EXPECT_EQ(groups[0].lag, 0);
}

TEST_F(GroupsOfALog, OnlyTheTopicsAskedForAreShown) {
  log.records[{"a", 0}] = {0, 10};
  log.records[{"b", 0}] = {0, 10};
  log.add_group("g", {{"a", 0}, {"b", 0}});
  const auto groups = ask({.groups = {}, .topics = {"b"}});
  ASSERT_THAT(groups, SizeIs(1));
  EXPECT_EQ(groups[0].topics[0].topic, "b");
  log.records[{"c", 0}] = {0, 10};  // which nobody reads
  EXPECT_THAT(ask({.groups = {}, .topics = {"c"}}), IsEmpty());
  LagWatch mistyped{log, {.groups = {}, .topics = {"d"}}, clock};
  EXPECT_EQ(mistyped.discover().error().code, Errc::not_found);
}

TEST_F(GroupsOfALog, AMissingGroupIsNamedWithThoseThatAreThere) {
  log.add_group("inventory", {});
  LagWatch watch{log, {.groups = {"inventry"}, .topics = {}}, clock};
  const auto found = watch.discover();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::not_found);
  EXPECT_THAT(found.error().one_line(), HasSubstr("inventory"));
}

TEST_F(GroupsOfALog, ThePageFitsEightyColumns) {
  const std::string wide(120, 'x');
  std::vector<TopicPartition> assigned;
  for (int p = 0; p < 500; ++p) {
    log.records[{wide, p}] = {1'000'000, 900'000'000'000 + p};
    assigned.push_back({wide, p});
    log.commits[wide].push_back({.source = {wide, p}, .offset = 5, .metadata = {}});
  }
  log.add_group(wide, assigned);
  log.described[wide].members[0].client_id = wide;
  const std::string page = lag_text(ask(), {});
  std::istringstream lines{page};
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto columns =
        std::count_if(line.begin(), line.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; });
    EXPECT_LE(columns, 80) << line;
  }
  EXPECT_LT(count, 30);
  EXPECT_THAT(page, HasSubstr("480 more partitions"));
}

}  // namespace
}  // namespace flux::inspect
