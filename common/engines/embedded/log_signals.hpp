#pragma once
// How the processes that share a log tell each other that something happened,
// and take turns at writing. One small file, mapped by everybody: its words are
// counters to sleep on (futex), its byte ranges are locks.
//
// Signals only make things fast. What is true is in the SQLite files, so a
// waiter also looks by itself now and then: a process may be killed between its
// commit and its signal.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"

namespace flux::embedded {

// Thread-safe.
class LogSignals {
 public:
  static constexpr std::size_t kActivity = 0;  // anything at all: consumers sleep on it
  static constexpr std::size_t kGroups = 1;    // topics, members or assignments changed
  static constexpr std::size_t kCatalogLock = 2;
  static constexpr std::int64_t kMaxTopics = 4000;
  static std::size_t appended_word(std::int64_t topic_id) { return topic_words(topic_id); }
  static std::size_t topic_lock(std::int64_t topic_id) { return topic_words(topic_id) + 1; }

  static Result<std::shared_ptr<LogSignals>> open(const std::string& directory);
  ~LogSignals();
  LogSignals(const LogSignals&) = delete;
  LogSignals& operator=(const LogSignals&) = delete;

  std::uint32_t read(std::size_t word) const;
  void raise(std::size_t word);  // adds one and wakes all who sleep on it
  // Sleeps until the word differs from `seen`, at most `longest`.
  void wait(std::size_t word, std::uint32_t seen, Duration longest) const;
  const std::string& file() const { return file_; }

 private:
  LogSignals(std::string file, std::uint32_t* words) : file_(std::move(file)), words_(words) {}
  static std::size_t topic_words(std::int64_t topic_id) {
    return 16 + 4 * static_cast<std::size_t>(topic_id);
  }

  std::string file_;
  std::uint32_t* words_;
};

// A lock between threads and processes that is fair and dies with its owner.
// Waiters queue at a turnstile, so whoever just had the lock cannot take it
// again past somebody who waits. Belongs to one thread.
class TurnLock {
 public:
  // `word` and the one after it are used for waking.
  static Result<TurnLock> open(std::shared_ptr<LogSignals> signals, std::size_t word);
  TurnLock(TurnLock&& other) noexcept;
  TurnLock& operator=(TurnLock&&) = delete;
  ~TurnLock();

  bool acquire(SteadyTime deadline);  // false: not by the deadline
  void release();

 private:
  TurnLock(std::shared_ptr<LogSignals> signals, std::size_t word, int file);
  bool lock_byte(std::size_t word, SteadyTime deadline);
  void unlock_byte(std::size_t word);

  std::shared_ptr<LogSignals> signals_;
  std::size_t word_;
  int file_;
};

}  // namespace flux::embedded
