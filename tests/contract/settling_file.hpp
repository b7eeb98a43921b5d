#pragma once
// The smallest ledger that can prove exactly-once: one SQLite file that counts
// how often each record took effect, and moves fenced offsets in the same
// transaction.

#include <memory>
#include <string>
#include <vector>

#include "common/engines/embedded/sqlite_database.hpp"
#include "common/ports/event_log.hpp"

namespace flux::testing {

class SettlingFile {
 public:
  explicit SettlingFile(const std::string& directory) {
    database_ = std::move(*embedded::SqliteDatabase::open(
        {.file = directory + "/settled.db", .synchronous = embedded::Synchronous::normal}));
    database_
        ->execute(
            "CREATE TABLE IF NOT EXISTS settled(value TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT "
            "ROWID;"
            "CREATE TABLE IF NOT EXISTS offsets(partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, "
            "next_offset INTEGER NOT NULL)")
        .value();
  }

  struct Claim {
    std::int64_t epoch = 0;
    std::int64_t next_offset = 0;
  };

  Claim claim(std::int32_t partition) {
    auto row = database_
                   ->prepare(
                       "INSERT INTO offsets VALUES(?, 1, 0) ON CONFLICT DO UPDATE SET epoch = epoch + 1 "
                       "RETURNING epoch, next_offset")
                   .value();
    row.with(partition);
    row.step().value();
    const Claim claim{row.integer(0), row.integer(1)};
    while (row.step().value()) {
    }
    return claim;
  }

  // False: fenced, nothing changed.
  bool settle(std::int32_t partition, std::int64_t epoch, const std::vector<ConsumedRecord>& records) {
    auto transaction = embedded::SqliteTransaction::begin(*database_).value();
    database_
        ->run("UPDATE offsets SET next_offset = ? WHERE partition = ? AND epoch = ? AND next_offset = ?",
              records.back().offset + 1, partition, epoch, records.front().offset)
        .value();
    if (database_->changes() == 0) return false;
    for (const ConsumedRecord& record : records) {
      database_
          ->run("INSERT INTO settled VALUES(?, 1) ON CONFLICT DO UPDATE SET times = times + 1", record.value)
          .value();
    }
    transaction.commit().value();
    return true;
  }

  std::int64_t number(const std::string& query) {
    auto row = database_->prepare(query).value();
    row.step().value();
    return row.integer(0);
  }
  bool has(const std::string& value) {
    auto row = database_->prepare("SELECT 1 FROM settled WHERE value = ?").value();
    row.with(value);
    return row.step().value();
  }

 private:
  std::unique_ptr<embedded::SqliteDatabase> database_;
};

}  // namespace flux::testing
