// The event log contract over Kafka, and what is Kafka's own: refused assignments,
// members that are replaced, and a broker that dies.
#include <gmock/gmock.h>

#include <map>
#include <set>
#include <thread>

#include "tests/contract/event_log_contract.hpp"
#include "tests/contract/live_kafka.hpp"
#include "tests/fakes/run_async.hpp"

namespace flux {
namespace testing {
namespace {

class KafkaHarness final : public EventLogHarness {
 public:
  std::unique_ptr<EventLog> make_log() override {
    auto log = kafka::open_event_log(live_kafka());
    EXPECT_TRUE(log) << log.error().one_line();
    return log ? std::move(*log) : nullptr;
  }
  Duration session_timeout() const override { return std::chrono::milliseconds{1500}; }
};

INSTANTIATE_TEST_SUITE_P(Kafka, EventLogContract,
                         ::testing::Values(+[]() -> std::unique_ptr<EventLogHarness> {
                           return kafka_is_here() ? std::make_unique<KafkaHarness>() : nullptr;
                         }));

}  // namespace
}  // namespace testing

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using testing::unique_name;

// Remembers what a member was told, and says where to start.
struct Told : RebalanceListener {
  Result<std::vector<std::optional<std::int64_t>>> assigned(
      const std::vector<TopicPartition>& partitions) override {
    ++asked;
    if (refuse) return Error{.code = Errc::unavailable, .message = "the ledger is down", .retryable = true};
    std::vector<std::optional<std::int64_t>> starts;
    for (const auto& p : partitions) {
      held.insert(p);
      const auto known = start_at.find(p.partition);
      starts.push_back(known == start_at.end() ? std::nullopt : std::optional{known->second});
    }
    return starts;
  }
  void revoked(const std::vector<TopicPartition>& partitions, bool is_lost) override {
    for (const auto& p : partitions) held.erase(p);
    (is_lost ? lost : given_up) += static_cast<int>(partitions.size());
  }
  std::map<std::int32_t, std::int64_t> start_at;
  std::set<TopicPartition> held;
  bool refuse = false;
  int asked = 0;
  int lost = 0;
  int given_up = 0;
};

class KafkaEventLog : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::kafka_is_here()) GTEST_SKIP() << "Kafka is not tested";
    log = kafka::open_event_log(testing::live_kafka()).value();
    make_topic(6);
  }
  void make_topic(std::int32_t partitions) {
    topic = unique_name("t");
    ASSERT_TRUE(log->ensure_topics({{.name = topic, .partitions = partitions}}));
  }
  std::unique_ptr<EventConsumer> join(Told& told, const std::string& name, Duration session = 6s) {
    return log
        ->consumer({.group = group,
                    .topics = {topic},
                    .member_name = name,
                    .session_timeout = session,
                    .listener = &told})
        .value();
  }
  // Appends `count` records over all partitions: key k<i>, value <i>.
  void append(EventLog& to, int first, int count) {
    const auto producer = to.producer(runner.executor()).value();
    int acknowledged = 0;
    for (int i = first; i < first + count; ++i)
      boost::asio::co_spawn(
          runner.loop(),
          producer->append({.topic = topic, .key = "k" + std::to_string(i), .value = std::to_string(i)}),
          [&](std::exception_ptr, Result<RecordPosition> r) { acknowledged += r ? 1 : 0; });
    ASSERT_TRUE(runner.run_until([&] { return acknowledged == count; }, 20s));
  }
  template <class Done>
  static bool eventually(Done done, Duration within = 10s) {
    const auto end = steady_clock::now() + within;
    while (!done())
      if (steady_clock::now() > end) return false;
    return true;
  }

  testing::AsyncRunner runner;
  std::unique_ptr<EventLog> log;
  std::string topic;
  std::string group = unique_name("g");
};

TEST_F(KafkaEventLog, StartsWhereTheListenerSaysAndNotWhereTheGroupCommitted) {
  make_topic(1);
  append(*log, 0, 10);
  Told told;
  told.start_at[0] = 7;
  const auto consumer = join(told, "m1");
  std::vector<ConsumedRecord> read;
  ASSERT_TRUE(eventually([&] {
    for (auto& r : consumer->poll(100, 200ms).value()) read.push_back(std::move(r));
    return read.size() >= 3;
  }));
  EXPECT_EQ(read.front().offset, 7);
  EXPECT_EQ(read.front().value, "7");
  EXPECT_EQ(read.size(), 3u);
}

TEST_F(KafkaEventLog, AMemberThatJoinsTakesPartitionsAndTheOthersStay) {
  Told a, b;
  const auto first = join(a, "m1");
  ASSERT_TRUE(eventually([&] { return first->poll(10, 50ms).has_value() && a.held.size() == 6; }));
  const auto second = join(b, "m2");
  ASSERT_TRUE(eventually([&] {
    return first->poll(10, 20ms).has_value() && second->poll(10, 20ms).has_value() && a.held.size() == 3 &&
           b.held.size() == 3;
  }));
  EXPECT_EQ(a.given_up, 3);  // only what moved, not all six
  EXPECT_EQ(a.lost, 0);
  // The one that leaves hands over at once, long before its session ends.
  const auto left_at = steady_clock::now();
  ASSERT_TRUE(second->close(5s));
  EXPECT_EQ(b.given_up, 3);
  ASSERT_TRUE(eventually([&] { return first->poll(10, 20ms).has_value() && a.held.size() == 6; }));
  EXPECT_LT(steady_clock::now() - left_at, 5s);
}

TEST_F(KafkaEventLog, RefusedPartitionsGoBackAndAreTakenWhenTheListenerCan) {
  append(*log, 0, 20);
  Told told;
  told.refuse = true;
  const auto consumer = join(told, "m1");
  Result<std::vector<ConsumedRecord>> polled = std::vector<ConsumedRecord>{};
  ASSERT_TRUE(eventually([&] { return !(polled = consumer->poll(10, 100ms)); }));
  EXPECT_EQ(polled.error().message, "the ledger is down");
  EXPECT_TRUE(consumer->assignment().empty());
  EXPECT_EQ(told.lost + told.given_up, 0);  // it never had them

  // Meanwhile another member gets all of them.
  Told other;
  auto second = join(other, "m2");
  ASSERT_TRUE(eventually([&] { return second->poll(10, 50ms).has_value() && other.held.size() == 6; }));
  second.reset();  // committed nothing

  told.refuse = false;
  std::size_t read = 0;
  ASSERT_TRUE(eventually([&] {
    const auto records = consumer->poll(100, 100ms);
    if (records) read += records->size();
    return read == 20;
  })) << read;
  EXPECT_EQ(consumer->assignment().size(), 6u);
}

TEST_F(KafkaEventLog, AMemberThatStopsPollingIsReplacedAndToldSo) {
  append(*log, 0, 50);
  Told slow, quick;
  const auto stuck = join(slow, "slow", 1500ms);
  ASSERT_TRUE(eventually([&] { return stuck->poll(1, 50ms).has_value() && slow.held.size() == 6; }));
  const auto other = join(quick, "quick", 1500ms);
  std::size_t read = 0;
  ASSERT_TRUE(eventually([&] {
    const auto records = other->poll(100, 50ms);
    if (records) read += records->size();
    return quick.held.size() == 6;
  }));
  ASSERT_TRUE(stuck->poll(10, 50ms));
  EXPECT_EQ(slow.lost, 6);
  EXPECT_EQ(slow.given_up, 0);
  // And it is a member again.
  ASSERT_TRUE(eventually([&] {
    return stuck->poll(10, 20ms).has_value() && other->poll(10, 20ms).has_value() && slow.held.size() == 3;
  }));
}

// librdkafka#4059: with cooperative-sticky, commits in the middle of a rebalance
// could lose the assignment.
TEST_F(KafkaEventLog, CommittingThroughRebalancesLosesNoAssignment) {
  append(*log, 0, 3000);
  Told told;
  const auto steady = join(told, "steady");
  std::map<std::int32_t, std::int64_t> next;
  std::size_t read = 0;
  const auto work = [&] {
    const auto records = steady->poll(20, 10ms);
    ASSERT_TRUE(records) << records.error().one_line();
    std::vector<std::pair<TopicPartition, std::int64_t>> done;
    for (const auto& r : *records) {
      ++read;
      next[r.source.partition] = r.offset + 1;
      done.emplace_back(r.source, r.offset + 1);
    }
    ASSERT_TRUE(steady->commit(done));
  };
  ASSERT_TRUE(eventually([&] { return work(), told.held.size() == 6; }));
  for (int i = 0; i < 4; ++i) {
    Told brief;
    const auto visitor = join(brief, "visitor" + std::to_string(i));
    ASSERT_TRUE(
        eventually([&] { return work(), visitor->poll(1, 1ms).has_value() && brief.held.size() == 3; }));
    ASSERT_TRUE(visitor->close(5s));
    ASSERT_TRUE(eventually([&] { return work(), told.held.size() == 6; }));
  }
  EXPECT_EQ(told.lost, 0);
  ASSERT_TRUE(eventually([&] { return work(), read >= 3000; })) << read;
  ASSERT_TRUE(eventually([&] {
    work();
    const auto committed = log->committed_offsets(group, topic);
    if (!committed) return false;
    for (const auto& [partition, offset] : next)
      if ((*committed)[static_cast<std::size_t>(partition)] != offset) return false;
    return true;
  }));
}

// librdkafka#4312: destroyed between its first join and its first assignment, a
// cooperative-sticky member aborted the process.
TEST_F(KafkaEventLog, AMemberMayGoAtAnyMomentOfItsFirstJoin) {
  Told keeper;
  const auto holder = join(keeper, "holder");
  ASSERT_TRUE(eventually([&] { return holder->poll(1, 20ms).has_value() && keeper.held.size() == 6; }));
  for (int i = 0; i < 12; ++i) {
    Told told;
    const auto brief = join(told, "brief");
    static_cast<void>(brief->poll(1, std::chrono::milliseconds{i * 15}));
  }
  SUCCEED();
}

TEST_F(KafkaEventLog, AskingForWhatIsNotThereNamesIt) {
  const auto ends = log->end_offsets("no-such-topic");
  ASSERT_FALSE(ends);
  EXPECT_EQ(ends.error().code, Errc::not_found);
  EXPECT_THAT(ends.error().message, HasSubstr("no-such-topic"));
  EXPECT_EQ(log->committed_offsets("no-such-group", topic).value().at(0), std::nullopt);
  const auto bad = log->ensure_topics({{.name = "no spaces allowed", .partitions = 1}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::invalid_argument) << bad.error().one_line();
  const auto many = log->ensure_topics({{.name = unique_name("t"), .partitions = 1, .replication = 3}});
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, Errc::invalid_argument) << many.error().one_line();
}

// A broker of its own, killed with -9 while records are appended and consumed.
TEST_F(KafkaEventLog, ABrokerKilledAndRestartedLosesNothingAcknowledged) {
  testing::OwnBroker broker;
  ASSERT_TRUE(broker.start());
  auto options = testing::live_kafka();
  options.brokers = broker.brokers();
  options.delivery_timeout = 5s;
  const auto mine = kafka::open_event_log(options).value();
  ASSERT_TRUE(mine->ensure_topics({{.name = topic, .partitions = 6}}));
  const auto producer = mine->producer(runner.executor()).value();
  Told told;
  const auto consumer =
      mine->consumer({.group = group, .topics = {topic}, .member_name = "m", .listener = &told}).value();

  std::set<std::string> acknowledged, read;
  std::map<std::string, int> failures;
  bool stop = false;
  int running = 0;
  int sent = 0;
  const auto client = [&]() -> boost::asio::awaitable<void> {
    while (!stop) {
      const std::string id = std::to_string(sent++);
      Record record{.topic = topic, .key = "k" + id, .value = id};
      const auto outcome = co_await producer->append(std::move(record));
      if (outcome)
        acknowledged.insert(id);
      else
        ++failures[std::string{to_string(outcome.error().code)}];
    }
    --running;
  };
  for (int i = 0; i < 16; ++i) {
    ++running;
    boost::asio::co_spawn(runner.loop(), client(), [](std::exception_ptr) {});
  }
  const auto consume = [&] {
    const auto records = consumer->poll(500, 1ms);
    ASSERT_TRUE(records) << records.error().one_line();
    for (const auto& r : *records) read.insert(r.value);
  };
  const auto reach = [&](std::size_t count) {
    return runner.run_until([&] { return consume(), acknowledged.size() >= count; }, 60s);
  };
  ASSERT_TRUE(reach(2000));
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(broker.kill());
    const auto down_until = steady_clock::now() + 1s;
    runner.run_until([&] { return consume(), steady_clock::now() > down_until; }, 5s);
    ASSERT_TRUE(broker.start());
    ASSERT_TRUE(reach(acknowledged.size() + 2000)) << "appends did not resume";
  }
  stop = true;
  ASSERT_TRUE(runner.run_until([&] { return running == 0; }, 20s));
  EXPECT_TRUE(runner.run_until(
      [&] {
        consume();
        return std::includes(read.begin(), read.end(), acknowledged.begin(), acknowledged.end());
      },
      40s))
      << "acknowledged " << acknowledged.size() << ", read " << read.size();
  std::string kinds;
  for (const auto& [kind, count] : failures) kinds += " " + kind + "=" + std::to_string(count);
  std::printf("acknowledged %zu, read %zu, refused%s\n", acknowledged.size(), read.size(), kinds.c_str());
}

}  // namespace
}  // namespace flux
