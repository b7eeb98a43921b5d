// Looking at a real Kafka cluster from outside.
#include "common/engines/distributed/kafka/kafka_log_inspector.hpp"

#include <gmock/gmock.h>

#include "tests/contract/live_kafka.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/run_async.hpp"

namespace flux {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::SizeIs;

class KafkaLogInspector : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::kafka_is_here()) GTEST_SKIP() << "Kafka is not tested";
    log = kafka::open_event_log(testing::live_kafka()).value();
    inspector = kafka::open_log_inspector(testing::live_kafka()).value();
    ASSERT_TRUE(inspector->create_topic({.name = topic, .partitions = 3}));
  }
  testing::AsyncRunner runner;
  std::unique_ptr<EventLog> log;
  std::unique_ptr<LogInspector> inspector;
  std::string topic = testing::unique_name("t");
  std::string group = testing::unique_name("g");
};

TEST_F(KafkaLogInspector, ShowsAGroupItsMembersAndHowFarItIs) {
  const auto producer = log->producer(runner.executor()).value();
  for (int i = 0; i < 30; ++i) {
    Record record{.topic = topic, .key = "k" + std::to_string(i), .value = "v"};
    ASSERT_TRUE(runner.run(producer->append(std::move(record))));
  }
  const auto consumer = log->consumer({.group = group, .topics = {topic}, .member_name = "worker-7"}).value();
  std::size_t read = 0;
  ASSERT_TRUE(testing::eventually(20s, [&] {
    const auto records = consumer->poll(100, 50ms);
    for (const auto& r : *records) {
      ++read;
      EXPECT_TRUE(consumer->commit({{r.source, r.offset + 1}}));
    }
    return read == 30;
  }));
  EXPECT_THAT(inspector->groups().value(), Contains(group));
  const auto described = inspector->describe_groups({group, "no-such-group"});
  ASSERT_TRUE(described) << described.error().one_line();
  ASSERT_THAT(*described, SizeIs(2));
  EXPECT_EQ((*described)[0].state, "Stable");
  ASSERT_THAT((*described)[0].members, SizeIs(1));
  EXPECT_EQ((*described)[0].members[0].client_id, "worker-7");
  EXPECT_EQ((*described)[0].members[0].host, "127.0.0.1");
  EXPECT_THAT((*described)[0].members[0].assigned, SizeIs(3));
  EXPECT_EQ((*described)[1].state, "Dead");

  std::vector<TopicPartition> sources{{topic, 2}, {topic, 0}, {topic, 1}};
  const auto ends = inspector->ends(sources);
  ASSERT_TRUE(ends) << ends.error().one_line();
  std::map<TopicPartition, std::int64_t> expected;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    EXPECT_EQ((*ends)[i].source, sources[i]);
    EXPECT_EQ((*ends)[i].start, 0);
    if ((*ends)[i].end > 0) expected[sources[i]] = (*ends)[i].end;
    total += (*ends)[i].end;
  }
  EXPECT_EQ(total, 30);
  ASSERT_TRUE(testing::eventually(10s, [&] {
    const auto committed = inspector->committed({"no-such-group", group});
    if (!committed || !(*committed)[0].empty()) return false;
    std::map<TopicPartition, std::int64_t> found;
    for (const auto& c : (*committed)[1]) found[c.source] = c.offset;
    return found == expected;
  }));
}

TEST_F(KafkaLogInspector, DescribesCreatesAndExpandsTopics) {
  const auto described = inspector->topics(topic);
  ASSERT_TRUE(described) << described.error().one_line();
  EXPECT_THAT((*described)[0].partitions, SizeIs(3));
  EXPECT_EQ((*described)[0].partitions[0].leader, 1);
  EXPECT_THAT((*described)[0].partitions[0].in_sync, ::testing::ElementsAre(1));
  EXPECT_EQ(inspector->topic_settings(topic).value().at("cleanup.policy"), "delete");
  EXPECT_EQ(inspector->create_topic({.name = topic, .partitions = 3}).error().code, Errc::already_exists);
  EXPECT_EQ(inspector->expand_topic(topic, 3).error().code, Errc::invalid_argument);
  ASSERT_TRUE(inspector->expand_topic(topic, 5));
  EXPECT_THAT(inspector->topics(topic).value()[0].partitions, SizeIs(5));
  EXPECT_EQ(inspector->topics("no-such-topic").error().code, Errc::not_found);
  EXPECT_EQ(inspector->topic_settings("no-such-topic").error().code, Errc::not_found);
}

// What `flux lag` does; the time includes connecting and closing.
TEST_F(KafkaLogInspector, AThousandPartitionsAreAnsweredInOneCall) {
  const std::string wide = testing::unique_name("wide");
  ASSERT_TRUE(inspector->create_topic({.name = wide, .partitions = 1000}));
  const auto begun = std::chrono::steady_clock::now();
  {
    const auto fresh = kafka::open_log_inspector(testing::live_kafka()).value();
    const auto topics = fresh->topics(wide).value();
    std::vector<TopicPartition> sources;
    for (const auto& p : topics[0].partitions) sources.push_back({wide, p.id});
    ASSERT_TRUE(fresh->describe_groups({group}));
    ASSERT_TRUE(fresh->committed({group}));
    const auto ends = fresh->ends(sources);
    ASSERT_TRUE(ends) << ends.error().one_line();
    EXPECT_THAT(*ends, SizeIs(1000));
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
  std::printf("a look at 1,000 partitions: %.0f ms\n", took.count());
}

}  // namespace
}  // namespace flux
