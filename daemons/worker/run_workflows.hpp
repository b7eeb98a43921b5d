#pragma once
// The workflows group: reads triggers, executes many runs side by side, and moves
// a partition's offset past the runs that are finished without a gap.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "daemons/worker/execute_run.hpp"
#include "daemons/worker/partition_claims.hpp"

namespace flux::worker {

struct WorkflowCounters {
  std::atomic<std::uint64_t> succeeded{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> dead_lettered{0};
  std::atomic<std::int64_t> in_flight{0};
  std::atomic<bool> stalled{false};
};

struct WorkflowOptions {
  std::string group = "workflows";
  std::string topic = "workflow.trigger";
  std::string member_name;
  std::int64_t pause_above = 1000;  // runs in flight; reading stops here
  std::int64_t resume_below = 500;  // and goes on here, so it does not flap
};

// One consumer. run() polls on the calling thread; runs execute on `loop`, which
// another thread turns.
class WorkflowRunner {
 public:
  WorkflowRunner(EventLog& log, RunEngines engines, boost::asio::io_context& loop, WorkflowOptions options,
                 WorkflowCounters& counters);
  Result<> run(std::stop_token stop);

 private:
  // Offsets in hand, in order; the front is the next to be passed.
  struct Progress {
    std::shared_ptr<std::atomic<bool>> abandoned = std::make_shared<std::atomic<bool>>(false);
    struct Entry {
      std::int64_t offset;
      bool finished;
    };
    std::deque<Entry> entries{};
  };
  struct Finished {
    TopicPartition source;
    std::int64_t epoch;
    std::int64_t offset;
  };

  void start(const ConsumedRecord& record);
  void abandon(const std::vector<TopicPartition>& partitions);
  Result<> pass_finished();
  Result<> apply_back_pressure();
  boost::asio::awaitable<void> execute(RunTask task);
  boost::asio::awaitable<void> bury(RunTask task, std::string reason);
  void finish(const RunTask& task);

  EventLog& log_;
  RunEngines engines_;
  boost::asio::io_context& loop_;
  WorkflowOptions options_;
  WorkflowCounters& counters_;
  PartitionClaims claims_;
  std::map<TopicPartition, Progress> progress_;
  std::unique_ptr<EventConsumer> consumer_;
  bool paused_ = false;
  std::mutex mutex_;  // guards finished_, filled by the loop's thread
  std::vector<Finished> finished_;
};

}  // namespace flux::worker
