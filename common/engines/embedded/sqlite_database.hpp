#pragma once
// A SQLite file in WAL mode, shared by several processes, behind Result: opens,
// prepares (statements are cached), runs transactions, and turns SQLite's codes
// into Errors that name the file and what to do.
//
// Codes: disk full -> exhausted; cannot open, I/O error, read-only -> unavailable;
// damaged or not a database -> corrupted; locked longer than the busy timeout ->
// timed_out (retryable, nothing changed); constraint -> conflict.

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace flux::embedded {

enum class Synchronous {
  normal,  // survives kill -9; the last transactions may go when the machine loses power
  full,    // every commit is fsynced
};

struct SqliteOptions {
  std::string file;
  Synchronous synchronous = Synchronous::full;
  Duration busy_timeout = std::chrono::seconds{5};  // waits for other processes' locks
  int checkpoint_pages = 4000;                      // WAL pages between automatic checkpoints
};

struct Blob {
  std::string_view bytes;
};

// A prepared statement on loan from its database: binds and steps, and is reset
// when it goes. Must not outlive the database. Indexes of parameters count from
// 1, of columns from 0, as in SQLite. Bound bytes are copied.
class SqliteStatement {
 public:
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  void bind(int index, std::int64_t value);
  void bind(int index, int value) { bind(index, static_cast<std::int64_t>(value)); }
  void bind(int index, double value);
  void bind(int index, std::string_view text);
  void bind(int index, const std::string& text) { bind(index, std::string_view{text}); }
  void bind(int index, const char* text) { bind(index, std::string_view{text}); }
  void bind(int index, Blob blob);
  void bind(int index, std::nullopt_t);
  template <class T>
  void bind(int index, const std::optional<T>& value) {
    if (value) {
      bind(index, *value);
    } else {
      bind(index, std::nullopt);
    }
  }
  // Binds all parameters from the first on, after a reset: ready for the next row.
  template <class... T>
  SqliteStatement& with(const T&... values) {
    reset();
    int index = 0;
    (bind(++index, values), ...);
    return *this;
  }

  Result<bool> step();  // true: a row is there to read
  Result<> run();       // steps to the end and resets; rows are dropped
  void reset();

  // Of the present row; views live until the next step or reset.
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string_view view(int column) const;  // text or blob
  std::string text(int column) const { return std::string{view(column)}; }
  bool is_null(int column) const;

 private:
  friend class SqliteDatabase;
  SqliteStatement(const class SqliteDatabase* database, sqlite3_stmt* statement, bool cached);
  const class SqliteDatabase* database_;
  sqlite3_stmt* statement_;
  bool cached_;
};

// One connection. Not thread-safe: one thread at a time. Its address must stay
// the same while statements are on loan, so it is made on the heap.
class SqliteDatabase {
 public:
  // Creates the file when missing.
  static Result<std::unique_ptr<SqliteDatabase>> open(const SqliteOptions& options);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  Result<SqliteStatement> prepare(std::string_view sql);
  // Prepares, binds and runs one statement.
  template <class... T>
  Result<> run(std::string_view sql, const T&... values) {
    auto statement = prepare(sql);
    if (!statement) return statement.error();
    return statement->with(values...).run();
  }
  Result<> execute(const char* script);  // any number of statements, not cached
  std::int64_t changes() const;          // rows of the last INSERT, UPDATE or DELETE
  std::int64_t data_version();           // changes when another connection committed
  bool in_transaction() const;
  const std::string& file() const { return file_; }
  int last_code() const { return failure_; }  // SQLite's extended code of the last Error

  // What SQLite just reported, as an Error.
  Error last_error(std::string_view while_doing) const;

 private:
  explicit SqliteDatabase(const SqliteOptions& options);
  static int wait_when_busy(void* self, int attempts);

  std::string file_;
  Duration busy_timeout_;
  SteadyTime busy_since_{};
  mutable int failure_ = 0;
  struct Cache;
  std::unique_ptr<Cache> cache_;
  sqlite3* handle_ = nullptr;
};

// BEGIN IMMEDIATE, so that it never fails halfway for want of the write lock.
// Rolls back unless committed.
class SqliteTransaction {
 public:
  static Result<SqliteTransaction> begin(SqliteDatabase& database);
  SqliteTransaction(SqliteTransaction&& other) noexcept;
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;
  ~SqliteTransaction();
  Result<> commit();
  void rollback();

 private:
  explicit SqliteTransaction(SqliteDatabase& database) : database_(&database) {}
  SqliteDatabase* database_;
};

// Creates the directory and its parents when missing.
Result<> create_directory(const std::string& directory);

}  // namespace flux::embedded
