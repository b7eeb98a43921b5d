#pragma once
// What every EventLog must do, whatever the engine. A program instantiates it:
//
//   INSTANTIATE_TEST_SUITE_P(Embedded, EventLogContract,
//                            ::testing::Values(+[] { return make_my_harness(); }));
//
// where the harness opens the log, each time as another process would.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/core/ids.hpp"
#include "common/ports/event_log.hpp"
#include "common/ports/key_partition.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/run_async.hpp"

namespace flux::testing {

class EventLogHarness {
 public:
  virtual ~EventLogHarness() = default;
  // Opens the one log of this harness once more. Null: said why with GTEST_SKIP or a failure.
  virtual std::unique_ptr<EventLog> make_log() = 0;
  // The shortest session timeout the engine accepts.
  virtual Duration session_timeout() const { return std::chrono::seconds{1}; }
  // How long the slowest ordinary thing (a rebalance) may take.
  virtual Duration patience() const { return std::chrono::seconds{20}; }
  // A value that is certainly too large for one record.
  virtual std::size_t too_large() const { return 2'000'000; }
};

using HarnessMaker = std::unique_ptr<EventLogHarness> (*)();

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

// Starts partitions where it is told and writes down what happened.
class RecordingListener : public RebalanceListener {
 public:
  Result<std::vector<std::optional<std::int64_t>>> assigned(
      const std::vector<TopicPartition>& partitions) override {
    if (fail_next_) {
      fail_next_ = false;
      return Error{Errc::unavailable, "the ledger is away", "", true};
    }
    std::vector<std::optional<std::int64_t>> offsets;
    for (const TopicPartition& partition : partitions) {
      owned.insert(partition);
      const auto start = starts.find(partition);
      offsets.push_back(start == starts.end() ? std::nullopt : std::optional{start->second});
    }
    return offsets;
  }
  void revoked(const std::vector<TopicPartition>& partitions, bool is_lost) override {
    for (const TopicPartition& partition : partitions) {
      owned.erase(partition);
      if (is_lost) lost.insert(partition);
    }
  }
  void fail_next() { fail_next_ = true; }

  std::map<TopicPartition, std::int64_t> starts;
  std::set<TopicPartition> owned;
  std::set<TopicPartition> lost;

 private:
  bool fail_next_ = false;
};

class EventLogContract : public ::testing::TestWithParam<HarnessMaker> {
 protected:
  void SetUp() override {
    harness_ = GetParam()();
    if (harness_ == nullptr) GTEST_SKIP() << "the engine is not available here";
    log_ = harness_->make_log();
    if (IsSkipped() || log_ == nullptr) return;
    topic_ = fresh_name("orders");
    group_ = fresh_name("group");
    make_topic(topic_, 4);
    producer_ = new_producer(*log_);
  }
  void TearDown() override {
    if (producer_) (void)producer_->flush(std::chrono::seconds{5});
    producer_.reset();
    log_.reset();
  }

  static std::string fresh_name(const std::string& kind) { return kind + "-" + new_uuid().to_string(); }

  void make_topic(const std::string& name, std::int32_t partitions) {
    const auto made = log_->ensure_topics({{.name = name, .partitions = partitions}});
    ASSERT_TRUE(made) << made.error().one_line();
  }

  std::unique_ptr<EventProducer> new_producer(EventLog& log) {
    auto producer = log.producer(runner_.executor());
    EXPECT_TRUE(producer) << producer.error().one_line();
    return producer ? std::move(*producer) : nullptr;
  }

  std::unique_ptr<EventConsumer> new_consumer(EventLog& log, RebalanceListener* listener = nullptr,
                                              const std::string& name = "member") {
    auto consumer = log.consumer({.group = group_,
                                  .topics = {topic_},
                                  .member_name = name,
                                  .session_timeout = harness_->session_timeout(),
                                  .listener = listener});
    EXPECT_TRUE(consumer) << consumer.error().one_line();
    return consumer ? std::move(*consumer) : nullptr;
  }

  Result<RecordPosition> append(const std::string& key, const std::string& value, Headers headers = {}) {
    return runner_.run(producer_->append({topic_, key, value, std::move(headers)}));
  }

  // Appends all without waiting in between; returns how many were acknowledged.
  std::size_t append_all(std::vector<Record> records) {
    std::size_t acknowledged = 0;
    std::size_t answered = 0;
    const std::size_t count = records.size();
    for (Record& record : records) {
      boost::asio::co_spawn(runner_.loop(), producer_->append(std::move(record)),
                            [&](std::exception_ptr, Result<RecordPosition> result) {
                              ++answered;
                              if (result) ++acknowledged;
                            });
    }
    EXPECT_TRUE(runner_.run_until([&] { return answered == count; }, harness_->patience()));
    return acknowledged;
  }

  std::vector<Record> numbered(int count, int keys) {
    std::vector<Record> records;
    for (int i = 0; i < count; ++i) {
      records.push_back({topic_, "key-" + std::to_string(i % keys), std::to_string(i)});
    }
    return records;
  }

  std::vector<ConsumedRecord> collect(EventConsumer& consumer, std::size_t count) {
    std::vector<ConsumedRecord> all;
    const auto end = std::chrono::steady_clock::now() + harness_->patience();
    while (all.size() < count && std::chrono::steady_clock::now() < end) {
      auto some = consumer.poll(500, std::chrono::milliseconds{50});
      if (!some) {
        ADD_FAILURE() << some.error().one_line();
        break;
      }
      all.insert(all.end(), std::make_move_iterator(some->begin()), std::make_move_iterator(some->end()));
    }
    return all;
  }

  // Polls the consumers in turn until the condition holds; they must deliver nothing that is missed.
  template <class Condition>
  bool poll_until(std::vector<EventConsumer*> consumers, Condition condition) {
    const auto end = std::chrono::steady_clock::now() + harness_->patience();
    while (!condition() && std::chrono::steady_clock::now() < end) {
      for (EventConsumer* consumer : consumers) (void)consumer->poll(100, std::chrono::milliseconds{5});
    }
    return condition();
  }

  bool offsets_become(EventLog& log, const std::vector<std::optional<std::int64_t>>& expected) {
    return eventually(harness_->patience(), [&] {
      const auto offsets = log.committed_offsets(group_, topic_);
      return offsets && *offsets == expected;
    });
  }

  std::unique_ptr<EventLogHarness> harness_;
  AsyncRunner runner_;
  std::unique_ptr<EventLog> log_;
  std::unique_ptr<EventProducer> producer_;
  std::string topic_;
  std::string group_;
};

TEST_P(EventLogContract, KeepsTheOrderOfEachKey) {
  ASSERT_EQ(append_all(numbered(500, 10)), 500u);
  auto consumer = new_consumer(*log_);
  const auto records = collect(*consumer, 500);
  ASSERT_EQ(records.size(), 500u);
  std::map<std::string, int> last;
  std::map<std::string, std::set<std::int32_t>> places;
  std::map<std::int32_t, std::int64_t> offsets;
  for (const ConsumedRecord& record : records) {
    const int number = std::stoi(record.value);
    const auto [seen, first] = last.try_emplace(record.key, number);
    if (!first) {
      EXPECT_EQ(number, seen->second + 10) << record.key;
    }
    seen->second = number;
    places[record.key].insert(record.source.partition);
    EXPECT_EQ(record.offset, offsets[record.source.partition]++);
  }
  for (const auto& [key, partitions] : places) {
    EXPECT_THAT(partitions, ElementsAre(partition_of_key(key, 4))) << key;
  }
}

TEST_P(EventLogContract, AcknowledgedRecordsOutliveTheirProcess) {
  ASSERT_EQ(append_all(numbered(100, 7)), 100u);
  producer_.reset();
  log_.reset();
  log_ = harness_->make_log();
  ASSERT_NE(log_, nullptr);
  auto consumer = new_consumer(*log_);
  EXPECT_EQ(collect(*consumer, 100).size(), 100u);
}

TEST_P(EventLogContract, SaysWhereARecordWentAndGivesItBackUnchanged) {
  const std::string binary("\0\xff\n\"x", 5);
  const Headers headers{
      {"traceparent", "00-abc"}, {"twice", "1"}, {"twice", "2"}, {"empty", ""}, {"b", binary}};
  const WallTime before = std::chrono::system_clock::now() - std::chrono::hours{24 * 365 * 80};
  const auto first = append("k", binary, headers);
  ASSERT_TRUE(first) << first.error().one_line();
  const auto second = append("k", "", {});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->partition, first->partition);
  EXPECT_EQ(second->offset, first->offset + 1);

  auto consumer = new_consumer(*log_);
  const auto records = collect(*consumer, 2);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].source, (TopicPartition{topic_, first->partition}));
  EXPECT_EQ(records[0].offset, first->offset);
  EXPECT_EQ(records[0].key, "k");
  EXPECT_EQ(records[0].value, binary);
  EXPECT_EQ(records[0].headers, headers);
  EXPECT_GT(records[0].timestamp, before);
  EXPECT_EQ(records[1].value, "");
  EXPECT_TRUE(records[1].headers.empty());
}

TEST_P(EventLogContract, TakesRecordsWithoutAKey) {
  std::vector<Record> records;
  for (int i = 0; i < 50; ++i) records.push_back({topic_, "", std::to_string(i)});
  ASSERT_EQ(append_all(std::move(records)), 50u);
  auto consumer = new_consumer(*log_);
  const auto got = collect(*consumer, 50);
  ASSERT_EQ(got.size(), 50u);
  EXPECT_EQ(got[0].key, "");
}

TEST_P(EventLogContract, StartsWhereTheListenerSays) {
  ASSERT_EQ(append_all(numbered(40, 1)), 40u);
  const std::int32_t partition = partition_of_key("key-0", 4);
  RecordingListener listener;
  listener.starts[{topic_, partition}] = 33;
  auto consumer = new_consumer(*log_, &listener);
  const auto records = collect(*consumer, 7);
  ASSERT_EQ(records.size(), 7u);
  EXPECT_EQ(records[0].offset, 33);
  EXPECT_EQ(records[0].value, "33");
  EXPECT_TRUE(consumer->poll(10, std::chrono::milliseconds{50})->empty());
  EXPECT_THAT(listener.owned, SizeIs(4));
  EXPECT_THAT(consumer->assignment(), SizeIs(4));
}

TEST_P(EventLogContract, GivesPartitionsBackWhenTheListenerFailsAndTriesAgain) {
  ASSERT_EQ(append_all(numbered(8, 4)), 8u);
  RecordingListener listener;
  listener.fail_next();
  auto consumer = new_consumer(*log_, &listener);
  Errc failed = Errc::internal;
  ASSERT_TRUE(eventually(harness_->patience(), [&] {
    const auto polled = consumer->poll(1, std::chrono::milliseconds{20});
    if (!polled) failed = polled.error().code;
    return !polled;
  }));
  EXPECT_EQ(failed, Errc::unavailable);
  EXPECT_TRUE(listener.owned.empty());
  EXPECT_TRUE(consumer->assignment().empty());
  EXPECT_EQ(collect(*consumer, 8).size(), 8u);
}

TEST_P(EventLogContract, GoesOnAtTheCommittedOffset) {
  ASSERT_EQ(append_all(numbered(20, 1)), 20u);
  const std::int32_t partition = partition_of_key("key-0", 4);
  std::vector<std::optional<std::int64_t>> expected(4);
  const auto none = log_->committed_offsets(group_, topic_);
  ASSERT_TRUE(none) << none.error().one_line();
  EXPECT_EQ(*none, expected);
  {
    RecordingListener listener;
    auto consumer = new_consumer(*log_, &listener);
    ASSERT_EQ(collect(*consumer, 20).size(), 20u);
    const auto committed = consumer->commit({{{topic_, partition}, 12}});
    ASSERT_TRUE(committed) << committed.error().one_line();
    ASSERT_TRUE(consumer->close(std::chrono::seconds{5}));
    EXPECT_TRUE(listener.owned.empty());
    EXPECT_TRUE(listener.lost.empty());
  }
  expected[static_cast<std::size_t>(partition)] = 12;
  EXPECT_TRUE(offsets_become(*log_, expected));
  auto consumer = new_consumer(*log_);
  const auto records = collect(*consumer, 8);
  ASSERT_EQ(records.size(), 8u);
  EXPECT_EQ(records[0].offset, 12);
}

TEST_P(EventLogContract, TellsEndOffsets) {
  const auto empty = log_->end_offsets(topic_);
  ASSERT_TRUE(empty) << empty.error().one_line();
  EXPECT_THAT(*empty, ElementsAre(0, 0, 0, 0));
  ASSERT_EQ(append_all(numbered(30, 1)), 30u);
  std::vector<std::int64_t> expected(4);
  expected[static_cast<std::size_t>(partition_of_key("key-0", 4))] = 30;
  EXPECT_EQ(*log_->end_offsets(topic_), expected);
}

TEST_P(EventLogContract, PausedPartitionsDeliverNothingUntilResumed) {
  ASSERT_EQ(append_all(numbered(4, 1)), 4u);
  auto consumer = new_consumer(*log_);
  ASSERT_EQ(collect(*consumer, 4).size(), 4u);
  const TopicPartition source{topic_, partition_of_key("key-0", 4)};
  ASSERT_TRUE(consumer->pause({source}));
  ASSERT_EQ(append_all(numbered(4, 1)), 4u);
  EXPECT_TRUE(consumer->poll(100, std::chrono::milliseconds{300})->empty());
  ASSERT_TRUE(consumer->resume({source}));
  const auto records = collect(*consumer, 4);
  ASSERT_EQ(records.size(), 4u);
  EXPECT_EQ(records[0].offset, 4);
}

TEST_P(EventLogContract, DeliversAtMostWhatIsAskedFor) {
  ASSERT_EQ(append_all(numbered(30, 4)), 30u);
  auto consumer = new_consumer(*log_);
  std::size_t total = 0;
  ASSERT_TRUE(eventually(harness_->patience(), [&] {
    const auto some = consumer->poll(7, std::chrono::milliseconds{20});
    if (!some) return false;
    EXPECT_LE(some->size(), 7u);
    total += some->size();
    return total == 30u;
  }));
  EXPECT_TRUE(consumer->poll(7, Duration::zero())->empty());
}

TEST_P(EventLogContract, WakesAWaitingConsumer) {
  auto other = harness_->make_log();
  ASSERT_NE(other, nullptr);
  auto consumer = new_consumer(*other);
  ASSERT_TRUE(poll_until({consumer.get()}, [&] { return consumer->assignment().size() == 4u; }));
  std::atomic<std::size_t> got = 0;
  std::jthread reader([&] {
    const auto records = consumer->poll(10, std::chrono::seconds{10});
    if (records) got = records->size();
  });
  ASSERT_TRUE(append("a", "1"));
  reader.join();
  EXPECT_EQ(got, 1u);
}

TEST_P(EventLogContract, SaysThatATopicIsNotThere) {
  const std::string absent = fresh_name("absent");
  EXPECT_EQ(log_->partition_count(absent).error().code, Errc::not_found);
  EXPECT_EQ(log_->end_offsets(absent).error().code, Errc::not_found);
  EXPECT_EQ(log_->committed_offsets(group_, absent).error().code, Errc::not_found);
  const auto appended = runner_.run(producer_->append({absent, "k", "v"}));
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().code, Errc::not_found);
}

TEST_P(EventLogContract, TopicsGrowAndNeverShrink) {
  EXPECT_EQ(*log_->partition_count(topic_), 4);
  make_topic(topic_, 2);
  EXPECT_EQ(*log_->partition_count(topic_), 4);
  ASSERT_TRUE(append("a", "1"));
  RecordingListener listener;
  auto consumer = new_consumer(*log_, &listener);
  ASSERT_EQ(collect(*consumer, 1).size(), 1u);
  make_topic(topic_, 6);
  EXPECT_TRUE(eventually(harness_->patience(), [&] {
    const auto count = log_->partition_count(topic_);
    return count && *count == 6;
  }));
  EXPECT_THAT(*log_->end_offsets(topic_), SizeIs(6));
}

TEST_P(EventLogContract, RefusesARecordThatIsTooLarge) {
  const auto refused = append("k", std::string(harness_->too_large(), 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid_argument);
  EXPECT_FALSE(refused.error().message.empty());
  EXPECT_TRUE(append("k", "small"));
}

TEST_P(EventLogContract, FlushWaitsForEverythingAppended) {
  std::size_t acknowledged = 0;
  for (Record& record : numbered(200, 5)) {
    boost::asio::co_spawn(
        runner_.loop(), producer_->append(std::move(record)),
        [&](std::exception_ptr, Result<RecordPosition> result) { acknowledged += result ? 1 : 0; });
  }
  runner_.loop().restart();
  runner_.loop().poll();  // all are under way now
  const auto flushed = producer_->flush(std::chrono::seconds{10});
  ASSERT_TRUE(flushed) << flushed.error().one_line();
  const auto ends = log_->end_offsets(topic_);
  std::int64_t total = 0;
  for (const std::int64_t end : *ends) total += end;
  EXPECT_EQ(total, 200);
  EXPECT_TRUE(runner_.run_until([&] { return acknowledged == 200u; }));
}

TEST_P(EventLogContract, MembersShareThePartitionsAndAClosingOneHandsOverAtOnce) {
  RecordingListener first_listener;
  RecordingListener second_listener;
  auto other = harness_->make_log();
  auto first = new_consumer(*log_, &first_listener, "first");
  ASSERT_TRUE(poll_until({first.get()}, [&] { return first->assignment().size() == 4u; }));
  auto second = new_consumer(*other, &second_listener, "second");
  ASSERT_TRUE(poll_until({first.get(), second.get()}, [&] {
    return first->assignment().size() == 2u && second->assignment().size() == 2u;
  }));
  EXPECT_THAT(first_listener.owned, SizeIs(2));
  EXPECT_THAT(second_listener.owned, SizeIs(2));
  const auto kept = first->assignment();

  ASSERT_TRUE(second->close(std::chrono::seconds{5}));
  EXPECT_TRUE(second_listener.owned.empty());
  EXPECT_TRUE(poll_until({first.get()}, [&] { return first->assignment().size() == 4u; }));
  EXPECT_TRUE(first_listener.lost.empty());
  EXPECT_TRUE(
      std::includes(first_listener.owned.begin(), first_listener.owned.end(), kept.begin(), kept.end()));
}

TEST_P(EventLogContract, AZombieLearnsThatItLostItsPartitionsAndCommitsNothing) {
  ASSERT_EQ(append_all(numbered(10, 1)), 10u);
  const TopicPartition source{topic_, partition_of_key("key-0", 4)};
  RecordingListener zombie_listener;
  RecordingListener heir_listener;
  auto other = harness_->make_log();
  auto zombie = new_consumer(*log_, &zombie_listener, "zombie");
  ASSERT_EQ(collect(*zombie, 10).size(), 10u);

  // The zombie does not poll any more; the heir gets everything.
  auto heir = new_consumer(*other, &heir_listener, "heir");
  ASSERT_TRUE(poll_until({heir.get()}, [&] { return heir->assignment().size() == 4u; }));
  ASSERT_TRUE(heir->commit({{source, 3}}));
  (void)zombie->commit({{source, 9}});  // refused or without effect
  const auto lost = [&] { return zombie_listener.lost.size() == 4u; };
  const auto end = std::chrono::steady_clock::now() + harness_->patience();
  while (!lost() && std::chrono::steady_clock::now() < end) {
    (void)zombie->poll(100, std::chrono::milliseconds{20});
    (void)heir->poll(100, std::chrono::milliseconds{20});
  }
  EXPECT_TRUE(lost());
  std::vector<std::optional<std::int64_t>> expected(4);
  expected[static_cast<std::size_t>(source.partition)] = 3;
  EXPECT_TRUE(offsets_become(*log_, expected));
}

// Settles like the worker: a claim per assignment, batches fenced by it.
class SettlingLedger {
 public:
  struct Claim {
    std::int64_t epoch = 0;
    std::int64_t next_offset = 0;
  };
  Claim claim(const TopicPartition& source) {
    const std::lock_guard lock{mutex_};
    ++claims_[source].epoch;
    return claims_[source];
  }
  // False: fenced.
  bool settle(const TopicPartition& source, std::int64_t epoch, const std::vector<ConsumedRecord>& records) {
    const std::lock_guard lock{mutex_};
    Claim& claim = claims_[source];
    if (claim.epoch != epoch) return false;
    for (const ConsumedRecord& record : records) {
      if (record.offset != claim.next_offset) ++gaps_;
      claim.next_offset = record.offset + 1;
      ++effects_[record.value];
    }
    return true;
  }
  std::size_t settled() const {
    const std::lock_guard lock{mutex_};
    return effects_.size();
  }
  bool each_once() const {
    const std::lock_guard lock{mutex_};
    return gaps_ == 0 &&
           std::all_of(effects_.begin(), effects_.end(), [](const auto& e) { return e.second == 1; });
  }

 private:
  mutable std::mutex mutex_;
  std::map<TopicPartition, Claim> claims_;
  std::map<std::string, int> effects_;
  int gaps_ = 0;
};

class SettlingMember final : public RebalanceListener {
 public:
  explicit SettlingMember(SettlingLedger& ledger) : ledger_(ledger) {}
  Result<std::vector<std::optional<std::int64_t>>> assigned(
      const std::vector<TopicPartition>& partitions) override {
    std::vector<std::optional<std::int64_t>> offsets;
    for (const TopicPartition& partition : partitions) {
      const auto claim = ledger_.claim(partition);
      epochs_[partition] = claim.epoch;
      offsets.push_back(claim.next_offset);
    }
    return offsets;
  }
  void revoked(const std::vector<TopicPartition>& partitions, bool) override {
    for (const TopicPartition& partition : partitions) epochs_.erase(partition);
  }
  void work(EventConsumer& consumer, const std::function<bool()>& done) {
    while (!done()) {
      const auto records = consumer.poll(20, std::chrono::milliseconds{5});
      if (!records) continue;
      std::map<TopicPartition, std::vector<ConsumedRecord>> by_source;
      for (const ConsumedRecord& record : *records) by_source[record.source].push_back(record);
      for (const auto& [source, some] : by_source) ledger_.settle(source, epochs_[source], some);
    }
  }

 private:
  SettlingLedger& ledger_;
  std::map<TopicPartition, std::int64_t> epochs_;
};

TEST_P(EventLogContract, ARebalanceLosesAndDoublesNothing) {
  constexpr int kRecords = 2000;
  SettlingLedger ledger;
  const auto all_settled = [&] { return ledger.settled() == static_cast<std::size_t>(kRecords); };
  std::atomic<bool> stop = false;
  std::vector<std::jthread> members;
  const auto start_member = [&](const std::string& name, std::size_t leave_after) {
    members.emplace_back([&, name, leave_after] {
      const auto log = harness_->make_log();
      SettlingMember member{ledger};
      const auto consumer = new_consumer(*log, &member, name);
      member.work(*consumer, [&] { return stop || ledger.settled() >= leave_after; });
      EXPECT_TRUE(consumer->close(std::chrono::seconds{5}));
    });
  };
  start_member("stays", kRecords);
  start_member("leaves early", kRecords / 4);
  std::vector<Record> records = numbered(kRecords, 50);
  const auto half = records.begin() + kRecords / 2;
  EXPECT_EQ(append_all({records.begin(), half}), std::size_t{kRecords / 2});
  start_member("comes late", kRecords);
  start_member("comes and goes", kRecords / 2 + kRecords / 4);
  EXPECT_EQ(append_all({half, records.end()}), std::size_t{kRecords / 2});
  EXPECT_TRUE(eventually(2 * harness_->patience(), all_settled)) << ledger.settled() << " of " << kRecords;
  stop = true;
  members.clear();
  EXPECT_TRUE(ledger.each_once());
}

TEST_P(EventLogContract, AnswersPings) {
  const auto answered = log_->ping(std::chrono::seconds{5});
  EXPECT_TRUE(answered) << answered.error().one_line();
}

TEST_P(EventLogContract, ClosingTwiceIsFine) {
  auto consumer = new_consumer(*log_);
  (void)consumer->poll(1, std::chrono::milliseconds{10});
  EXPECT_TRUE(consumer->close(std::chrono::seconds{5}));
  EXPECT_TRUE(consumer->close(std::chrono::seconds{5}));
  EXPECT_FALSE(consumer->poll(1, Duration::zero()));
  EXPECT_TRUE(consumer->assignment().empty());
}

}  // namespace flux::testing
