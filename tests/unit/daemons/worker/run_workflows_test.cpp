#include "daemons/worker/run_workflows.hpp"

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <thread>

#include "daemons/worker/requeue_runs.hpp"
#include "daemons/worker/retry_backoff.hpp"
#include "daemons/worker/workflow_steps.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/fake_event_log.hpp"
#include "tests/fakes/fake_ledger.hpp"
#include "tests/fakes/fake_state_store.hpp"
#include "tests/fakes/run_async.hpp"

namespace flux::worker {
namespace {

using std::chrono::seconds;
using testing::eventually;

TEST(RetryBackoff, DoublesToItsCeiling) {
  const BackoffPolicy policy{std::chrono::milliseconds{100}, seconds{1}};
  EXPECT_EQ(backoff_ceiling(policy, 0), std::chrono::milliseconds{100});
  EXPECT_EQ(backoff_ceiling(policy, 3), std::chrono::milliseconds{800});
  EXPECT_EQ(backoff_ceiling(policy, 4), seconds{1});
  EXPECT_EQ(backoff_ceiling(policy, 1000), seconds{1});
}

TEST(SleepStep, CountsFromItsStartAndNotAgainAfterAResume) {
  const WallTime start{};
  EXPECT_EQ(sleep_left({seconds{10}}, start, start), seconds{10});
  EXPECT_EQ(sleep_left({seconds{10}}, start, start + seconds{4}), seconds{6});
  EXPECT_EQ(sleep_left({seconds{10}}, start, start + seconds{40}), seconds{0});
}

class RunWorkflowsTest : public ::testing::Test {
 protected:
  RunWorkflowsTest() : store_(data_) {
    EXPECT_TRUE(
        log_.ensure_topics({{"workflow.trigger", 2, 1}, {"workflow.trigger.dlq", 1, 1}, {"out", 1, 1}}));
    producer_ = std::move(*log_.producer(runner_.executor()));
  }
  ~RunWorkflowsTest() override { stop_worker(); }

  Workflow workflow(std::vector<WorkflowStep> steps) {
    return *ledger_.create_workflow({.id = new_uuid(), .name = "w", .version = 1, .steps = std::move(steps)});
  }
  Uuid trigger(const Workflow& w) {
    flux::Run run{.id = new_uuid(), .workflow_id = w.id, .created_at = system_clock().wall()};
    EXPECT_TRUE(ledger_.create_run(run));
    append(encode_trigger_event({run.id, w.id}));
    return run.id;
  }
  void append(const std::string& value) {
    EXPECT_TRUE(runner_.run(producer_->append({"workflow.trigger", "k", value})));
  }
  void start_worker() {
    worker_ = std::jthread([this](std::stop_token stop) {
      boost::asio::io_context loop(1);
      const auto work = boost::asio::make_work_guard(loop);
      testing::FakeStateStore store(data_);
      auto producer = std::move(*log_.producer(loop.get_executor()));
      runtime::BlockingPool pool(2);
      std::jthread turning([&] { loop.run(); });
      WorkflowRunner runner(log_, {ledger_, pool, *producer, store}, loop, {}, counters_);
      EXPECT_TRUE(runner.run(stop));
      pool.stop();
      loop.stop();
    });
  }
  void stop_worker() {
    if (!worker_.joinable()) return;
    worker_.request_stop();
    worker_.join();
  }
  RunStatus status(const Uuid& id) { return ledger_.get_run(id)->status; }

  testing::AsyncRunner runner_;
  testing::FakeEventLog log_;
  testing::FakeLedger ledger_;
  std::shared_ptr<testing::FakeStateData> data_ = std::make_shared<testing::FakeStateData>();
  testing::FakeStateStore store_;
  std::unique_ptr<EventProducer> producer_;
  WorkflowCounters counters_;
  std::jthread worker_;
};

TEST_F(RunWorkflowsTest, RunsTheStepsInOrderAndMovesTheOffset) {
  const auto w = workflow({{"wait", StepKind::sleep, R"({"duration":"5ms"})"},
                           {"tell", StepKind::emit, R"({"topic":"out","key":"k","value":{"a":1}})"}});
  const Uuid run = trigger(w);
  start_worker();
  ASSERT_TRUE(eventually(seconds{10}, [&] { return status(run) == RunStatus::succeeded; }));
  ASSERT_EQ(log_.record_count("out"), 1u);
  EXPECT_EQ(log_.records("out")[0].value, R"({"a":1})");
  const flux::Run done = *ledger_.get_run(run);
  EXPECT_EQ(done.steps.at(1).attempts, 1);
  EXPECT_TRUE(done.steps.at(1).output_json);
  EXPECT_TRUE(eventually(seconds{5}, [&] {
    const auto next = *ledger_.next_offsets("workflows", "workflow.trigger", 2);
    return next[0] + next[1] == 1;
  }));
}

TEST_F(RunWorkflowsTest, RetriesAStepThenFailsTheRunWithADeadLetter) {
  // Nothing listens on port 1 of loopback.
  const auto w =
      workflow({{"call", StepKind::http, R"({"url":"http://127.0.0.1:1/","attempts":3,"backoff":"1ms"})"},
                {"never", StepKind::emit, R"({"topic":"out"})"}});
  const Uuid run = trigger(w);
  start_worker();
  ASSERT_TRUE(eventually(seconds{10}, [&] { return status(run) == RunStatus::failed; }));
  const flux::Run failed = *ledger_.get_run(run);
  EXPECT_EQ(failed.steps.at(0).attempts, 3);
  EXPECT_NE(failed.steps.at(0).error->find("cannot reach 127.0.0.1:1"), std::string::npos);
  EXPECT_EQ(failed.steps.at(1).status, RunStatus::queued);
  EXPECT_EQ(log_.record_count("workflow.trigger.dlq"), 1u);
  EXPECT_EQ(log_.record_count("out"), 0u);
}

TEST_F(RunWorkflowsTest, ALongRunDoesNotHoldUpTheOthersNorLoseItsPlace) {
  const auto slow = workflow({{"wait", StepKind::sleep, R"({"duration":"1h"})"}});
  const auto quick = workflow({{"tell", StepKind::emit, R"({"topic":"out"})"}});
  const Uuid first = trigger(slow);
  std::vector<Uuid> others;
  for (int i = 0; i < 20; ++i) others.push_back(trigger(quick));
  start_worker();
  for (const Uuid& run : others)
    ASSERT_TRUE(eventually(seconds{10}, [&] { return status(run) == RunStatus::succeeded; }));
  ASSERT_TRUE(eventually(seconds{10}, [&] { return status(first) == RunStatus::running; }));
  stop_worker();
  EXPECT_EQ(status(first), RunStatus::running);
  // Every trigger has one key, so they share a partition whose offset waits at the slow run.
  const auto next = *ledger_.next_offsets("workflows", "workflow.trigger", 2);
  EXPECT_EQ(next[0] + next[1], 0);
  start_worker();  // reads them again; finished runs are not run again
  ASSERT_TRUE(eventually(seconds{10}, [&] { return counters_.succeeded.load() == 40; }));
  EXPECT_EQ(log_.record_count("out"), 20u);
}

TEST_F(RunWorkflowsTest, PoisonGoesToTheDeadLetters) {
  append("garbage");
  const auto w = workflow({{"tell", StepKind::emit, R"({"topic":"out"})"}});
  const Uuid run = trigger(w);
  start_worker();
  ASSERT_TRUE(eventually(seconds{10}, [&] { return status(run) == RunStatus::succeeded; }));
  EXPECT_TRUE(eventually(seconds{5}, [&] { return log_.record_count("workflow.trigger.dlq") == 1; }));
}

TEST_F(RunWorkflowsTest, ARunWithoutItsTriggerIsTriggeredAgain) {
  ManualClock clock;
  boost::asio::io_context loop(1);
  const auto work = boost::asio::make_work_guard(loop);
  const auto w = workflow({{"tell", StepKind::emit, R"({"topic":"out"})"}});
  const flux::Run orphan{.id = new_uuid(), .workflow_id = w.id, .created_at = clock.wall()};
  ASSERT_TRUE(ledger_.create_run(orphan));
  testing::FakeStateStore store(data_);
  auto producer = std::move(*log_.producer(loop.get_executor()));
  QueuedRunSweeper sweeper(log_, ledger_, store, *producer, loop, "w", seconds{60}, clock);
  EXPECT_EQ(*sweeper.round(), 0);
  clock.advance(seconds{61});
  EXPECT_EQ(*sweeper.round(), 0);  // the mark it passes is from before
  EXPECT_EQ(*sweeper.round(), 1);
  start_worker();
  EXPECT_TRUE(eventually(seconds{10}, [&] { return status(orphan.id) == RunStatus::succeeded; }));
}

}  // namespace
}  // namespace flux::worker
