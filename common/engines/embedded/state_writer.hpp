#pragma once
// The one thread of a process that writes state.db. All changes that wait at a
// time go into one transaction, so the cost of a commit is shared; its callers
// hear of it on their own loops, when it is committed.

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "common/core/result.hpp"
#include "common/engines/embedded/embedded_engines.hpp"
#include "common/engines/embedded/state_tables.hpp"
#include "common/engines/embedded/write_turn.hpp"

namespace flux::embedded {

class StateChange {
 public:
  virtual ~StateChange() = default;
  // On the writer's thread, within the transaction; keeps its own value. An
  // error undoes the whole transaction; refusals are values.
  virtual Result<> apply(StateTables& tables) = 0;
  // On the caller's loop: after the commit (null), or when it failed. Only the
  // first call counts.
  virtual void finish(const Error* failure) = 0;

  std::atomic<bool> is_abandoned{false};  // the caller gave up before it began
};

// Where a loop's finished changes are collected: one wake-up for all of them.
class StateMailbox : public std::enable_shared_from_this<StateMailbox> {
 public:
  explicit StateMailbox(boost::asio::any_io_executor loop) : loop_(std::move(loop)) {}
  void deliver(std::vector<std::shared_ptr<StateChange>> changes,
               const std::shared_ptr<const Error>& failure);

 private:
  boost::asio::any_io_executor loop_;
};

class StateWriter {
 public:
  // Shared by all stores of this process on one file.
  static Result<std::shared_ptr<StateWriter>> of(const EmbeddedOptions& options);
  ~StateWriter();  // writes what is queued, then ends

  void submit(std::shared_ptr<StateChange> change, std::shared_ptr<StateMailbox> mailbox);
  const std::string& file() const { return file_; }

 private:
  struct Entry {
    std::shared_ptr<StateChange> change;
    std::shared_ptr<StateMailbox> mailbox;
  };
  StateWriter(std::string file, Duration timeout, std::unique_ptr<StateTables> tables,
              std::unique_ptr<WriteTurns> turns);
  void run(std::stop_token stop);
  Result<> write(std::vector<Entry>& batch);
  Result<> apply(const std::vector<Entry>& batch);
  std::vector<Entry> take();

  const std::string file_;
  const Duration timeout_;
  const std::unique_ptr<StateTables> tables_;
  const std::unique_ptr<WriteTurns> turns_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<Entry> queue_;  // guarded by mutex_
  SteadyTime next_sweep_{};
  std::jthread thread_;
};

}  // namespace flux::embedded
