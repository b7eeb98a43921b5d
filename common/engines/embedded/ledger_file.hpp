#pragma once
// The file behind the embedded ledger: its schema and its connections. One
// connection writes, in turn with other processes; readers have their own, so
// they never wait for the writer.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/core/result.hpp"
#include "common/engines/embedded/sqlite_database.hpp"
#include "common/engines/embedded/write_turn.hpp"

namespace flux::embedded {

// Thread-safe.
class LedgerFile {
 public:
  // Creates or migrates <directory>/ledger.db.
  static Result<std::unique_ptr<LedgerFile>> open(const std::string& directory);

  // Runs `change(database)` in one durable transaction; what it returns as an
  // error rolls back.
  template <class Change>
  auto write(Change change) -> std::invoke_result_t<Change, SqliteDatabase&> {
    auto turn = turns_->take(kPatience);
    if (!turn) return turn.error();
    auto transaction = SqliteTransaction::begin(*writer_);
    if (!transaction) return transaction.error();
    auto result = change(*writer_);
    if (!result) return result.error();
    if (auto committed = transaction->commit(); !committed) return committed.error();
    return result;
  }

  // Runs `look(database)` on a connection of its own; it sees one state of the
  // file as long as it uses one statement.
  template <class Look>
  auto read(Look look) -> std::invoke_result_t<Look, SqliteDatabase&> {
    auto reader = borrow();
    if (!reader) return reader.error();
    auto result = look(**reader);
    give_back(std::move(*reader));
    return result;
  }

 private:
  static constexpr Duration kPatience = std::chrono::seconds{5};
  static constexpr std::size_t kReaders = 4;

  explicit LedgerFile(std::string file) : file_(std::move(file)) {}
  Result<> migrate();
  Result<std::unique_ptr<SqliteDatabase>> connect() const;
  Result<std::unique_ptr<SqliteDatabase>> borrow();
  void give_back(std::unique_ptr<SqliteDatabase> reader);

  std::string file_;
  std::unique_ptr<WriteTurns> turns_;
  std::unique_ptr<SqliteDatabase> writer_;  // used by who has the turn

  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<SqliteDatabase>> idle_;
  std::size_t opened_ = 0;
};

}  // namespace flux::embedded
