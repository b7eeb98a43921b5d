#pragma once
// Group commit: what the producers of this process append to one topic waits in
// a bounded queue, and one thread writes everything that waits in a single
// durable transaction. While the disk syncs, the next group gathers.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/engines/embedded/embedded_engines.hpp"
#include "common/engines/embedded/log_signals.hpp"
#include "common/engines/embedded/topic_file.hpp"
#include "common/ports/event_log.hpp"

namespace flux::embedded {

using AppendResult = Result<RecordPosition>;

// Waits for one append. Called once, or dropped with its loop.
class AppendWaiter {
 public:
  virtual ~AppendWaiter() = default;
  virtual void done(AppendResult result) = 0;
};

struct FinishedAppend {
  std::unique_ptr<AppendWaiter> waiter;
  AppendResult result;
};

// Where results of a producer go; called on the writing thread.
class AppendOutcomes {
 public:
  virtual ~AppendOutcomes() = default;
  virtual void deliver(std::vector<FinishedAppend> finished) = 0;
};

struct PendingAppend {
  Record record;
  std::int32_t partition = 0;
  SteadyTime deadline{};  // of the machine's clock
  std::unique_ptr<AppendWaiter> waiter;
  std::shared_ptr<AppendOutcomes> outcomes;
};

// Thread-safe.
class AppendQueue {
 public:
  AppendQueue(const EmbeddedOptions& options, std::string log_directory, std::string topic,
              std::int64_t topic_id, std::shared_ptr<LogSignals> signals);
  ~AppendQueue();  // writes what is queued, then stops
  AppendQueue(const AppendQueue&) = delete;
  AppendQueue& operator=(const AppendQueue&) = delete;

  // False: the queue is full, and `pending` is untouched.
  bool push(PendingAppend&& pending);
  std::string full_message() const;

 private:
  void run();
  std::vector<PendingAppend> take_group();
  std::vector<PendingAppend> take_expired(SteadyTime now);
  void write_group();
  AppendResult outcome_of(const Result<>& written, const TopicFile::Entry& entry) const;
  Result<> write(std::vector<TopicFile::Entry>& entries);
  Result<> open_file();
  void apply_retention();
  static void deliver(std::vector<PendingAppend>& group, const std::vector<AppendResult>& results);

  const EmbeddedOptions options_;
  const std::string directory_;
  const std::string topic_;
  const std::int64_t topic_id_;
  const std::shared_ptr<LogSignals> signals_;

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<PendingAppend> queue_;
  std::size_t queued_bytes_ = 0;
  bool stopping_ = false;

  // Of the writing thread.
  std::unique_ptr<TopicFile> file_;
  std::optional<TurnLock> turn_;
  SteadyTime next_retention_{};

  std::jthread writer_;
};

}  // namespace flux::embedded
