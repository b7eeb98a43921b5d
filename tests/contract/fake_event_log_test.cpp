// The event log contract over the fake that unit tests use.

#include "tests/fakes/fake_event_log.hpp"

#include "tests/contract/event_log_contract.hpp"

namespace flux::testing {
namespace {

class FakeHarness final : public EventLogHarness {
 public:
  std::unique_ptr<EventLog> make_log() override { return log_.view(); }
  Duration session_timeout() const override { return std::chrono::milliseconds{300}; }

 private:
  FakeEventLog log_;
};

INSTANTIATE_TEST_SUITE_P(Fake, EventLogContract, ::testing::Values(+[]() -> std::unique_ptr<EventLogHarness> {
                           return std::make_unique<FakeHarness>();
                         }));

TEST(FakeEventLog, FailsOnDemand) {
  FakeEventLog log;
  ASSERT_TRUE(log.ensure_topics({{.name = "t", .partitions = 1}}));
  AsyncRunner runner;
  auto producer = *log.producer(runner.executor());
  const auto append = [&] { return runner.run(producer->append({"t", "k", "v"})); };
  log.fail_next_append({Errc::exhausted, "full"});
  EXPECT_EQ(append().error().code, Errc::exhausted);
  log.fail_next_append_maybe(true);
  EXPECT_EQ(append().error().code, Errc::maybe_persisted);
  EXPECT_EQ(log.record_count("t"), 1u);
  log.fail_next_append_maybe(false);
  EXPECT_EQ(append().error().code, Errc::maybe_persisted);
  EXPECT_EQ(log.record_count("t"), 1u);
  log.fail_everything(Error{Errc::unavailable, "away"});
  EXPECT_EQ(append().error().code, Errc::unavailable);
  EXPECT_EQ(log.ping({}).error().code, Errc::unavailable);
  log.fail_everything(std::nullopt);
  log.delay_acknowledgements(std::chrono::milliseconds{20});
  EXPECT_TRUE(append());
  EXPECT_EQ(log.record_count("t"), 2u);
}

}  // namespace
}  // namespace flux::testing
