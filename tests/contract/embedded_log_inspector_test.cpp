// Looking at the embedded log from outside.
#include <gmock/gmock.h>

#include <filesystem>

#include "common/engines/embedded/log_inspector.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/run_async.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace flux {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::SizeIs;

class EmbeddedLogInspector : public ::testing::Test {
 protected:
  void SetUp() override {
    log = embedded::open_event_log({.directory = directory.path()}).value();
    inspector = embedded::open_log_inspector({.directory = directory.path()}).value();
    ASSERT_TRUE(inspector->create_topic({.name = "orders", .partitions = 3}));
  }
  void append(int records) {
    const auto producer = log->producer(runner.executor()).value();
    for (int i = 0; i < records; ++i) {
      Record record{.topic = "orders", .key = "k" + std::to_string(i), .value = "v"};
      ASSERT_TRUE(runner.run(producer->append(std::move(record))));
    }
  }
  std::unique_ptr<EventConsumer> read(std::size_t count) {
    auto consumer =
        log->consumer({.group = "inventory", .topics = {"orders"}, .member_name = "worker-7"}).value();
    std::size_t seen = 0;
    EXPECT_TRUE(testing::eventually(20s, [&] {
      const auto records = consumer->poll(100, 50ms);
      for (const auto& r : *records) {
        ++seen;
        EXPECT_TRUE(consumer->commit({{r.source, r.offset + 1}}));
      }
      return seen >= count && consumer->assignment().size() == 3;
    }));
    return consumer;
  }
  testing::ScratchDirectory directory;
  testing::AsyncRunner runner;
  std::unique_ptr<EventLog> log;
  std::unique_ptr<LogInspector> inspector;
};

TEST_F(EmbeddedLogInspector, ShowsAGroupItsMembersAndHowFarItIs) {
  append(30);
  const auto consumer = read(30);
  EXPECT_THAT(inspector->groups().value(), Contains("inventory"));
  const auto described = inspector->describe_groups({"inventory", "no-such-group"}).value();
  EXPECT_EQ(described[0].state, "Stable");
  ASSERT_THAT(described[0].members, SizeIs(1));
  EXPECT_EQ(described[0].members[0].client_id, "worker-7");
  EXPECT_THAT(described[0].members[0].assigned, SizeIs(3));
  EXPECT_EQ(described[1].state, "Dead");

  const auto ends = inspector->ends({{"orders", 2}, {"orders", 0}, {"orders", 1}}).value();
  EXPECT_EQ(ends[0].source, (TopicPartition{"orders", 2}));
  EXPECT_EQ(ends[0].end + ends[1].end + ends[2].end, 30);
  const auto committed = inspector->committed({"no-such-group", "inventory"}).value();
  EXPECT_THAT(committed[0], SizeIs(0));
  for (const CommittedOffset& offset : committed[1]) {
    EXPECT_EQ(offset.offset, inspector->ends({offset.source}).value()[0].end);
    EXPECT_LT(system_clock().wall() - *offset.committed_at, 30s);
    EXPECT_EQ(offset.next_appended_at, std::nullopt);
  }
}

TEST_F(EmbeddedLogInspector, AGroupThatLeftIsEmptyAndWhatWaitsHasAnAge) {
  append(30);
  ASSERT_TRUE(read(30)->close(5s));
  append(30);
  const auto described = inspector->describe_groups({"inventory"}).value();
  EXPECT_EQ(described[0].state, "Empty");
  EXPECT_THAT(described[0].unattended, SizeIs(3));
  const auto committed = inspector->committed({"inventory"}).value();
  for (const CommittedOffset& offset : committed[0]) {
    EXPECT_LT(offset.offset, inspector->ends({offset.source}).value()[0].end);
    ASSERT_TRUE(offset.next_appended_at);
    EXPECT_LT(system_clock().wall() - *offset.next_appended_at, 30s);
  }
}

TEST_F(EmbeddedLogInspector, DescribesCreatesAndExpandsTopics) {
  EXPECT_THAT(inspector->topics("orders").value()[0].partitions, SizeIs(3));
  EXPECT_EQ(inspector->topic_settings("orders").value().at("cleanup.policy"), "delete");
  EXPECT_EQ(inspector->create_topic({.name = "orders", .partitions = 3}).error().code, Errc::already_exists);
  EXPECT_EQ(inspector->expand_topic("orders", 3).error().code, Errc::invalid_argument);
  ASSERT_TRUE(inspector->expand_topic("orders", 5));
  EXPECT_THAT(inspector->topics().value()[0].partitions, SizeIs(5));
  EXPECT_EQ(inspector->ends({{"orders", 4}}).value()[0].end, 0);
  EXPECT_EQ(inspector->topics("no-such-topic").error().code, Errc::not_found);
  EXPECT_EQ(inspector->topic_settings("no-such-topic").error().code, Errc::not_found);
  EXPECT_EQ(inspector->ends({{"no-such-topic", 0}}).error().code, Errc::not_found);
}

TEST(EmbeddedLogInspectorWithoutALog, SaysSoAndCreatesNothing) {
  const testing::ScratchDirectory directory;
  const std::string absent = directory / "absent";
  const auto opened = embedded::open_log_inspector({.directory = absent});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::not_found);
  EXPECT_THAT(opened.error().message, ::testing::HasSubstr(absent));
  EXPECT_FALSE(std::filesystem::exists(absent));
}

}  // namespace
}  // namespace flux
