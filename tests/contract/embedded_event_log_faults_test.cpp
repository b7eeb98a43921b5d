// What only the embedded event log has: full disks, damaged files, hanging
// neighbours, retention, static members, and sessions that end by the clock.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "common/engines/embedded/embedded_engines.hpp"
#include "common/engines/embedded/log_signals.hpp"
#include "common/engines/embedded/sqlite_database.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/run_async.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace flux::testing {
namespace {

using namespace std::chrono_literals;

class EmbeddedEventLogFaults : public ::testing::Test {
 protected:
  void open(embedded::EmbeddedOptions options = {}) {
    producer_.reset();
    log_.reset();
    if (options.directory.empty()) options.directory = directory_.path();
    auto log = embedded::open_event_log(options);
    ASSERT_TRUE(log) << log.error().one_line();
    log_ = std::move(*log);
    const auto made = log_->ensure_topics({{.name = "orders", .partitions = 1}});
    ASSERT_TRUE(made) << made.error().one_line();
    producer_ = std::move(*log_->producer(runner_.executor()));
  }
  void TearDown() override {
    producer_.reset();
    log_.reset();
  }

  Result<RecordPosition> append(std::string value) {
    return runner_.run(producer_->append({"orders", "k", std::move(value)}));
  }
  std::unique_ptr<EventConsumer> consumer(ConsumerOptions options = {}) {
    options.group = "g";
    options.topics = {"orders"};
    auto made = log_->consumer(options);
    EXPECT_TRUE(made) << made.error().one_line();
    return made ? std::move(*made) : nullptr;
  }
  std::vector<std::int64_t> offsets_of(EventConsumer& consumer) {
    std::vector<std::int64_t> offsets;
    for (;;) {
      const auto records = consumer.poll(1000, 50ms);
      if (!records || records->empty()) return offsets;
      for (const ConsumedRecord& record : *records) offsets.push_back(record.offset);
    }
  }
  // Appends until it fails; then makes room and goes on.
  void expect_recovery_from_full_disk(const std::function<void()>& make_room) {
    std::int64_t acknowledged = 0;
    Result<RecordPosition> last = append("first");
    for (; last && acknowledged < 1000; last = append(std::string(30'000, 'x'))) ++acknowledged;
    ASSERT_FALSE(last);
    EXPECT_EQ(last.error().code, Errc::exhausted) << last.error().one_line();
    EXPECT_NE(last.error().message.find("orders.topic.db"), std::string::npos) << last.error().message;
    EXPECT_FALSE(last.error().hint.empty());
    make_room();
    const auto after = append("after");
    ASSERT_TRUE(after) << after.error().one_line();
    EXPECT_EQ(after->offset, acknowledged);  // nothing of the refused record is there
    EXPECT_EQ(offsets_of(*consumer()).size(), static_cast<std::size_t>(acknowledged + 1));
  }

  ScratchDirectory directory_;
  AsyncRunner runner_;
  std::unique_ptr<EventLog> log_;
  std::unique_ptr<EventProducer> producer_;
};

TEST_F(EmbeddedEventLogFaults, ADiskQuotaIsExhaustedAndPasses) {
  ::signal(SIGXFSZ, SIG_IGN);
  open();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{1 << 20, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_recovery_from_full_disk([&] { ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0); });
  ::setrlimit(RLIMIT_FSIZE, &before);
}

TEST_F(EmbeddedEventLogFaults, AFullDiskIsExhaustedAndPasses) {
  const std::string disk = directory_ / "disk";
  ASSERT_TRUE(std::filesystem::create_directory(disk));
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=3m") != 0)
    GTEST_SKIP() << "mounting a small disk needs root";
  open({.directory = disk + "/data"});
  std::ofstream{disk + "/ballast"} << std::string(1 << 20, 'x');
  expect_recovery_from_full_disk([&] { std::filesystem::remove(disk + "/ballast"); });
  TearDown();
  EXPECT_EQ(::umount2(disk.c_str(), MNT_DETACH), 0);
}

TEST_F(EmbeddedEventLogFaults, ADamagedFileIsCorrupted) {
  open();
  ASSERT_TRUE(append("before"));
  TearDown();
  const std::string file = directory_ / "log/orders.topic.db";
  std::filesystem::remove(file + "-wal");
  std::filesystem::remove(file + "-shm");
  {
    std::fstream damaged{file, std::ios::in | std::ios::out | std::ios::binary};
    damaged << std::string(4096, 'x');
  }
  log_ = std::move(*embedded::open_event_log({.directory = directory_.path()}));
  producer_ = std::move(*log_->producer(runner_.executor()));
  const auto appended = append("after");
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().code, Errc::corrupted) << appended.error().one_line();
  EXPECT_NE(appended.error().message.find(file), std::string::npos) << appended.error().message;
  EXPECT_EQ(log_->consumer({.group = "g", .topics = {"orders"}}).error().code, Errc::corrupted);
  EXPECT_EQ(log_->end_offsets("orders").error().code, Errc::corrupted);
}

TEST_F(EmbeddedEventLogFaults, AChangedRecordIsFound) {
  open();
  ASSERT_TRUE(append("a value that will be changed"));
  TearDown();
  {
    auto database = std::move(*embedded::SqliteDatabase::open({.file = directory_ / "log/orders.topic.db"}));
    ASSERT_TRUE(database->run("UPDATE batches SET records = zeroblob(length(records))"));
  }
  open();
  auto reader = consumer();
  const auto records = reader->poll(10, 100ms);
  ASSERT_FALSE(records);
  EXPECT_EQ(records.error().code, Errc::corrupted) << records.error().one_line();
}

TEST_F(EmbeddedEventLogFaults, AHangingNeighbourMakesAppendsUnavailableInTime) {
  open({.directory = directory_.path(), .log = {.delivery_timeout = 300ms}});
  ASSERT_TRUE(append("before"));
  const auto expect_unavailable = [&] {
    const auto start = std::chrono::steady_clock::now();
    const auto appended = append("meanwhile");
    ASSERT_FALSE(appended);
    EXPECT_EQ(appended.error().code, Errc::unavailable) << appended.error().one_line();
    EXPECT_TRUE(appended.error().retryable);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 3s);
  };
  {
    auto database = std::move(*embedded::SqliteDatabase::open({.file = directory_ / "log/orders.topic.db"}));
    const auto held = embedded::SqliteTransaction::begin(*database);
    ASSERT_TRUE(held);
    expect_unavailable();
  }
  {
    auto signals = *embedded::LogSignals::open(directory_ / "log");
    auto turn = std::move(*embedded::TurnLock::open(signals, embedded::LogSignals::topic_lock(1)));
    ASSERT_TRUE(turn.acquire(std::chrono::steady_clock::now() + 1s));
    expect_unavailable();
  }
  const auto after = append("after");
  ASSERT_TRUE(after) << after.error().one_line();
  EXPECT_EQ(after->offset, 1);
}

TEST_F(EmbeddedEventLogFaults, AFullQueueRefusesAndKeepsWhatItTook) {
  open({.directory = directory_.path(), .log = {.max_queued_records = 20}});
  int done = 0;
  std::int64_t acknowledged = 0;
  std::set<Errc> errors;
  for (int i = 0; i < 1000; ++i) {
    boost::asio::co_spawn(runner_.loop(), producer_->append({"orders", "k", "v"}),
                          [&](std::exception_ptr, Result<RecordPosition> result) {
                            ++done;
                            if (result) {
                              ++acknowledged;
                            } else {
                              errors.insert(result.error().code);
                            }
                          });
  }
  ASSERT_TRUE(runner_.run_until([&] { return done == 1000; }));
  EXPECT_EQ(errors, std::set{Errc::exhausted});
  EXPECT_GE(acknowledged, 20);
  EXPECT_EQ(log_->end_offsets("orders")->front(), acknowledged);
}

TEST_F(EmbeddedEventLogFaults, OldRecordsGoAndConsumersStartAtTheOldestLeft) {
  ManualClock clock;
  open({.directory = directory_.path(), .clock = &clock, .log = {.retention_age = 24h}});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(append("old"));
  clock.advance(25h);
  ASSERT_TRUE(append("young"));
  EXPECT_EQ(offsets_of(*consumer()), (std::vector<std::int64_t>{5}));
  EXPECT_EQ(log_->end_offsets("orders")->front(), 6);
}

TEST_F(EmbeddedEventLogFaults, TheOldestGoWhenTheTopicGrowsTooLarge) {
  open({.directory = directory_.path(), .log = {.retention_bytes = 1 << 20, .retention_check = 0s}});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(append(std::string(30'000, 'x')));
  const auto offsets = offsets_of(*consumer());
  ASSERT_FALSE(offsets.empty());
  EXPECT_EQ(offsets.back(), 99);
  EXPECT_LT(offsets.size(), 40u);
  EXPECT_GT(offsets.size(), 10u);
}

TEST_F(EmbeddedEventLogFaults, SessionsEndByTheClock) {
  ManualClock clock;
  open({.directory = directory_.path(), .clock = &clock});
  auto first = consumer({.group = {}, .topics = {}, .member_name = "first"});
  ASSERT_TRUE(first->poll(1, 0s));
  EXPECT_EQ(first->assignment().size(), 1u);
  auto second = consumer({.group = {}, .topics = {}, .member_name = "second"});
  clock.advance(9s);
  ASSERT_TRUE(second->poll(1, 0s));
  EXPECT_TRUE(second->assignment().empty());
  clock.advance(2s);  // 11 s since the first one polled
  ASSERT_TRUE(second->poll(1, 0s));
  clock.advance(4s);
  ASSERT_TRUE(second->poll(1, 0s));
  EXPECT_EQ(second->assignment().size(), 1u);
  EXPECT_EQ(first->commit({{{"orders", 0}, 0}}).error().code, Errc::fenced);
}

TEST_F(EmbeddedEventLogFaults, AStaticMemberKeepsItsPlaceAndItsSuccessorFencesIt) {
  open();
  const ConsumerOptions options{.group = {}, .topics = {}, .member_name = "worker-1", .is_static = true};
  auto former = consumer(options);
  ASSERT_TRUE(former->poll(1, 0s));
  ASSERT_EQ(former->assignment().size(), 1u);
  auto other = consumer({.group = {}, .topics = {}, .member_name = "other"});
  ASSERT_TRUE(other->poll(1, 0s));

  ASSERT_TRUE(former->close(1s));
  ASSERT_TRUE(other->poll(1, 20ms));
  EXPECT_TRUE(other->assignment().empty());  // kept for the one that comes back

  auto latter = consumer(options);
  ASSERT_TRUE(latter->poll(1, 0s));
  EXPECT_EQ(latter->assignment().size(), 1u);
  auto impostor = consumer(options);
  ASSERT_TRUE(impostor->poll(1, 0s));
  EXPECT_EQ(impostor->assignment().size(), 1u);
  EXPECT_EQ(latter->commit({{{"orders", 0}, 0}}).error().code, Errc::fenced);
}

TEST_F(EmbeddedEventLogFaults, ConsumersGetPartitionsThatAreAddedLater) {
  open();
  auto reader = consumer();
  ASSERT_TRUE(reader->poll(1, 0s));
  ASSERT_TRUE(log_->ensure_topics({{.name = "orders", .partitions = 3}}));
  ASSERT_TRUE(reader->poll(1, 0s));
  EXPECT_EQ(reader->assignment().size(), 3u);
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(runner_.run(producer_->append({"orders", "key-" + std::to_string(i), "v"})));
  }
  EXPECT_EQ(offsets_of(*reader).size(), 30u);
  EXPECT_GT(log_->end_offsets("orders")->at(2), 0);
}

class AheadOfTheLog final : public RebalanceListener {
  Result<std::vector<std::optional<std::int64_t>>> assigned(
      const std::vector<TopicPartition>& partitions) override {
    return std::vector<std::optional<std::int64_t>>(partitions.size(), 5);
  }
  void revoked(const std::vector<TopicPartition>&, bool) override {}
};

TEST_F(EmbeddedEventLogFaults, ALedgerAheadOfTheLogIsSaidAndNotWaitedFor) {
  open();
  AheadOfTheLog listener;
  auto reader = consumer({.group = {}, .topics = {}, .listener = &listener});
  const auto polled = reader->poll(1, 0s);
  ASSERT_FALSE(polled);
  EXPECT_EQ(polled.error().code, Errc::corrupted);
}

TEST_F(EmbeddedEventLogFaults, RefusesTopicNamesThatAreNoFileNames) {
  open();
  for (const char* name : {"", ".", "..", "a/b", "a b", "\xc3\xa4"}) {
    EXPECT_EQ(log_->ensure_topics({{.name = name}}).error().code, Errc::invalid_argument) << name;
  }
  EXPECT_EQ(log_->ensure_topics({{.name = "t", .partitions = 0}}).error().code, Errc::invalid_argument);
}

}  // namespace
}  // namespace flux::testing
