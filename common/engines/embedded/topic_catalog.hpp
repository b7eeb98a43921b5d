#pragma once
// <directory>/log/catalog.db: which topics there are, and the consumer groups.
// Schema, also for those who look from outside (`flux lag`):
//
//   topics(id, name, partitions, created_ms)
//   groups(name, generation)                        generation grows with every new assignment
//   members(group_name, member_id, name, host, pid, is_static, incarnation,
//           session_timeout_ms, joined_ms, seen_ms) seen_ms: the machine's monotonic clock
//   subscriptions(group_name, member_id, topic)
//   assignments(group_name, topic, partition, owner, target)
//     owner reads the partition now, target should; when they differ the owner
//     lets go at its next poll and the target takes it (cooperative rebalance)
//   commits(group_name, topic, partition, next_offset, committed_ms)
//
// Times are milliseconds; *_ms without a remark is Unix time.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/engines/embedded/log_signals.hpp"
#include "common/engines/embedded/sqlite_database.hpp"
#include "common/ports/event_log.hpp"

namespace flux::embedded {

struct TopicEntry {
  std::int64_t id = 0;
  std::int32_t partitions = 0;
};

// Opens it and makes the tables.
Result<std::unique_ptr<SqliteDatabase>> open_catalog(const std::string& log_directory,
                                                     Synchronous synchronous);

Result<std::optional<TopicEntry>> find_topic(SqliteDatabase& catalog, const std::string& topic);
Error no_such_topic(const std::string& topic);
// Letters, digits, '.', '_' and '-', at most 200 of them: it names a file.
bool is_valid_topic(const std::string& topic);

// Runs `work` in a transaction, in turn with the other processes. `work`
// returns Result<>; when it fails nothing is changed.
template <class Work>
Result<> in_turn(SqliteDatabase& catalog, TurnLock& turn, Duration timeout, Work work) {
  if (!turn.acquire(std::chrono::steady_clock::now() + timeout)) {
    return Error{Errc::timed_out, catalog.file() + ": other processes held the lock for too long",
                 "look for a stopped or hanging process that uses the data directory", true};
  }
  struct Release {
    TurnLock& turn;
    ~Release() { turn.release(); }
  } release{turn};
  auto transaction = SqliteTransaction::begin(catalog);
  if (!transaction) return transaction.error();
  const Result<> done = work();
  if (!done) return done;
  return transaction->commit();
}

}  // namespace flux::embedded
