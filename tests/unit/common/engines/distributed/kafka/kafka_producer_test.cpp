#include <gmock/gmock.h>

#include <boost/asio/detached.hpp>

#include "common/ports/key_partition.hpp"
#include "mock_brokers.hpp"
#include "tests/fakes/run_async.hpp"

namespace flux::kafka {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

class KafkaProducerOnMock : public ::testing::Test {
 protected:
  void SetUp() override { brokers.create_topic("orders", 4); }

  std::unique_ptr<EventProducer> open(KafkaOptions options) {
    log = open_event_log(options).value();
    return log->producer(runner.executor()).value();
  }
  std::unique_ptr<EventProducer> open() { return open(brokers.options()); }

  Result<RecordPosition> append(EventProducer& producer, std::string key, std::string value = "v") {
    return runner.run(producer.append({.topic = "orders", .key = std::move(key), .value = std::move(value)}));
  }
  // Starts an append and lets its outcome arrive later.
  void begin(EventProducer& producer, std::string key) {
    boost::asio::co_spawn(
        runner.loop(), producer.append({.topic = "orders", .key = std::move(key), .value = "v"}),
        [this](std::exception_ptr, Result<RecordPosition> r) { outcomes.push_back(std::move(r)); });
  }

  testing::AsyncRunner runner;
  MockBrokers brokers;
  std::unique_ptr<EventLog> log;
  std::vector<Result<RecordPosition>> outcomes;
};

TEST_F(KafkaProducerOnMock, AKeyLandsWhereTheEmbeddedEnginePutsIt) {
  const auto producer = open();
  for (const std::string key : {"p1", "p42", "a-longer-key", "7", "ümlaut"}) {
    const auto position = append(*producer, key);
    ASSERT_TRUE(position) << position.error().one_line();
    EXPECT_EQ(position->partition, partition_of_key(key, 4)) << key;
  }
}

TEST_F(KafkaProducerOnMock, RecordsOfOneKeyKeepTheirOrder) {
  const auto producer = open();
  for (int i = 0; i < 500; ++i) begin(*producer, "p1");
  ASSERT_TRUE(runner.run_until([&] { return outcomes.size() == 500; }, 10s));
  std::vector<std::int64_t> offsets;
  for (const auto& o : outcomes) offsets.push_back(o.value().offset);
  EXPECT_TRUE(std::is_sorted(offsets.begin(), offsets.end()));
  EXPECT_EQ(offsets.back() - offsets.front(), 499);
}

TEST_F(KafkaProducerOnMock, AFullQueueRefusesAtOnceInsteadOfGrowing) {
  auto options = brokers.options();
  options.max_queued_records = 10;
  brokers.go_down();
  const auto producer = open(options);
  for (int i = 0; i < 15; ++i) begin(*producer, "p1");
  ASSERT_TRUE(runner.run_until([&] { return outcomes.size() == 5; }, 1s));
  for (const auto& o : outcomes) {
    ASSERT_FALSE(o);
    EXPECT_EQ(o.error().code, Errc::exhausted);
    EXPECT_TRUE(o.error().retryable);
  }
}

TEST_F(KafkaProducerOnMock, FailsWithinTheDeliveryTimeoutAndRecoversWithoutRestart) {
  auto options = brokers.options();
  options.delivery_timeout = 2s;
  const auto producer = open(options);
  ASSERT_TRUE(append(*producer, "p1"));
  brokers.go_down();
  const auto begun = steady_clock::now();
  const auto failed = append(*producer, "p1");
  ASSERT_FALSE(failed);
  EXPECT_LT(steady_clock::now() - begun, 2500ms);
  EXPECT_TRUE(failed.error().code == Errc::unavailable || failed.error().code == Errc::maybe_persisted)
      << failed.error().one_line();
  brokers.come_up();
  const auto recovered = runner.run([&]() -> boost::asio::awaitable<bool> {
    for (const auto end = steady_clock::now() + 10s; steady_clock::now() < end;) {
      Record record{.topic = "orders", .key = "p1", .value = "v"};
      if (co_await producer->append(std::move(record))) co_return true;
    }
    co_return false;
  }());
  EXPECT_TRUE(recovered);
}

TEST_F(KafkaProducerOnMock, NeverConnectedMeansSurelyNotPersisted) {
  auto options = brokers.options();
  options.delivery_timeout = 1s;
  brokers.go_down();
  const auto producer = open(options);
  const auto failed = append(*producer, "p1");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::unavailable) << failed.error().one_line();
  EXPECT_THAT(failed.error().message, ::testing::HasSubstr("cannot reach Kafka at 127.0.0.1:"));
}

TEST_F(KafkaProducerOnMock, ALostAcknowledgementIsMaybePersisted) {
  auto options = brokers.options();
  options.delivery_timeout = 2s;
  const auto producer = open(options);
  ASSERT_TRUE(append(*producer, "p1"));
  brokers.answer_after(20s);
  const auto failed = append(*producer, "p1");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::maybe_persisted) << failed.error().one_line();
}

TEST_F(KafkaProducerOnMock, PassingBrokerErrorsAreRetriedUnseen) {
  const auto producer = open();
  rd_kafka_mock_push_request_errors(
      brokers.get(), kProduceRequest, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
  const auto position = append(*producer, "p1");
  EXPECT_TRUE(position) << position.error().one_line();
}

TEST_F(KafkaProducerOnMock, AProducerThatLostItsSequenceIsReplaced) {
  const auto producer = open();
  ASSERT_TRUE(append(*producer, "p1"));
  rd_kafka_mock_push_request_errors(brokers.get(), kProduceRequest, 1,
                                    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  const auto failed = append(*producer, "p1");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::maybe_persisted) << failed.error().one_line();
  const auto end = steady_clock::now() + 5s;
  Result<RecordPosition> next = failed;
  while (!next && steady_clock::now() < end) next = append(*producer, "p1");
  EXPECT_TRUE(next) << next.error().one_line();
}

TEST_F(KafkaProducerOnMock, WhatCanNeverBeAppendedSaysSo) {
  const auto producer = open();
  const auto large = append(*producer, "p1", std::string(2 << 20, 'x'));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Errc::invalid_argument) << large.error().one_line();
  rd_kafka_mock_topic_set_error(brokers.get(), "nowhere", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  const auto begun = steady_clock::now();
  const auto nowhere = runner.run(producer->append({.topic = "nowhere", .key = "k", .value = "v"}));
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Errc::not_found) << nowhere.error().one_line();
  EXPECT_LT(steady_clock::now() - begun, 4s);
}

TEST_F(KafkaProducerOnMock, FlushWaitsForAcknowledgements) {
  const auto producer = open();
  for (int i = 0; i < 100; ++i) begin(*producer, "p" + std::to_string(i));
  runner.loop().poll();
  EXPECT_TRUE(producer->flush(5s));
  ASSERT_TRUE(runner.run_until([&] { return outcomes.size() == 100; }, 1s));
  for (const auto& o : outcomes) EXPECT_TRUE(o);
}

TEST_F(KafkaProducerOnMock, FlushGivesUpInTime) {
  brokers.go_down();
  auto producer = open();
  begin(*producer, "p1");
  runner.loop().poll();
  const auto flushed = producer->flush(100ms);
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code, Errc::timed_out);
}

TEST_F(KafkaProducerOnMock, ADestroyedProducerAnswersWhatIsInFlight) {
  brokers.go_down();
  auto producer = open();
  for (int i = 0; i < 3; ++i) begin(*producer, "p1");
  runner.loop().poll();
  producer.reset();
  ASSERT_TRUE(runner.run_until([&] { return outcomes.size() == 3; }, 5s));
  for (const auto& o : outcomes) EXPECT_FALSE(o);
}

TEST_F(KafkaProducerOnMock, PingTellsWhyKafkaCannotBeReached) {
  const auto up = open_event_log(brokers.options()).value();
  EXPECT_TRUE(up->ping(5s));
  const auto down =
      open_event_log({.brokers = "127.0.0.1:9", .brokers_origin = "now from flux.yaml:12", .properties = {}})
          .value();
  const auto begun = steady_clock::now();
  const auto pinged = down->ping(5s);
  EXPECT_LT(steady_clock::now() - begun, 2s);  // refused is known long before the timeout
  ASSERT_FALSE(pinged);
  EXPECT_EQ(pinged.error().one_line(),
            "cannot reach Kafka at 127.0.0.1:9 (connection refused); start it, or set kafka.brokers "
            "(now from flux.yaml:12)");
}

}  // namespace
}  // namespace flux::kafka
