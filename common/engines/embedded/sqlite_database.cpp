#include "common/engines/embedded/sqlite_database.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

namespace flux::embedded {
namespace {

using namespace std::chrono_literals;

bool is_disk_full(int system_errno) {
  return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG;
}

Error translate(int code, int system_errno, std::string_view file, std::string_view detail,
                std::string_view doing) {
  const auto say = [&](std::string_view what) {
    return std::string{file} + ": " + std::string{doing} + ": " + std::string{what};
  };
  const std::string why =
      std::string{detail} + (system_errno != 0 ? std::string{" ("} + std::strerror(system_errno) + ")" : "");
  switch (code & 0xff) {
    case SQLITE_FULL:
      return {Errc::exhausted, say("the disk is full"), "free space on the disk of the data directory", true};
    case SQLITE_NOMEM: return {Errc::exhausted, say("out of memory"), "", true};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {Errc::corrupted, say("the file is damaged: " + std::string{detail}),
              "stop all processes, move the file away and restore it from a copy"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Errc::timed_out, say("another process holds the lock"),
              "look for a stopped or hanging process that uses the data directory", true};
    case SQLITE_IOERR:
      if (is_disk_full(system_errno)) {
        return {Errc::exhausted, say("no space: " + why), "free space on the disk of the data directory",
                true};
      }
      return {Errc::unavailable, say("input/output error: " + why), "check the disk and the system's log",
              true};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      return {Errc::unavailable, say(why), "check that the data directory exists and is writable", true};
    case SQLITE_CONSTRAINT: return {Errc::conflict, say(detail)};
    case SQLITE_TOOBIG: return {Errc::invalid_argument, say(detail)};
    case SQLITE_INTERRUPT: return {Errc::interrupted, say(detail)};
    default: return {Errc::internal, say(why)};
  }
}

std::string_view synchronous_name(Synchronous level) {
  return level == Synchronous::full ? "FULL" : "NORMAL";
}

}  // namespace

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

struct SqliteDatabase::Cache {
  std::unordered_map<std::string, sqlite3_stmt*, TextHash, std::equal_to<>> statements;
};

// --- statement ---------------------------------------------------------------

SqliteStatement::SqliteStatement(const SqliteDatabase* database, sqlite3_stmt* statement, bool cached)
    : database_(database), statement_(statement), cached_(cached) {}

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      cached_(other.cached_) {}

SqliteStatement::~SqliteStatement() {
  if (statement_ == nullptr) return;
  if (cached_) {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  } else {
    sqlite3_finalize(statement_);
  }
}

void SqliteStatement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_, index, value);
}

void SqliteStatement::bind(int index, double value) {
  sqlite3_bind_double(statement_, index, value);
}

void SqliteStatement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL instead of the empty text.
  sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
}

void SqliteStatement::bind(int index, Blob blob) {
  sqlite3_bind_blob64(statement_, index, blob.bytes.empty() ? "" : blob.bytes.data(), blob.bytes.size(),
                      SQLITE_TRANSIENT);
}

void SqliteStatement::bind(int index, std::nullopt_t) {
  sqlite3_bind_null(statement_, index);
}

Result<bool> SqliteStatement::step() {
  errno = 0;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Error error = database_->last_error("running a statement");
  sqlite3_reset(statement_);
  return error;
}

Result<> SqliteStatement::run() {
  for (;;) {
    const auto row = step();
    if (!row) return row.error();
    if (!*row) break;
  }
  reset();
  return {};
}

void SqliteStatement::reset() {
  sqlite3_reset(statement_);
}

std::int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double SqliteStatement::real(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string_view SqliteStatement::view(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string_view{}
                          : std::string_view{static_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

bool SqliteStatement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

// --- database ----------------------------------------------------------------

SqliteDatabase::SqliteDatabase(const SqliteOptions& options)
    : file_(options.file), busy_timeout_(options.busy_timeout), cache_(std::make_unique<Cache>()) {}

SqliteDatabase::~SqliteDatabase() {
  for (auto& [sql, statement] : cache_->statements) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

// SQLite's own handler sleeps up to 100 ms at a time; locks here are held for
// a fraction of a millisecond to a few milliseconds (one fsync).
int SqliteDatabase::wait_when_busy(void* self, int attempts) {
  auto& database = *static_cast<SqliteDatabase*>(self);
  const auto now = std::chrono::steady_clock::now();
  if (attempts == 0) database.busy_since_ = now;
  if (now - database.busy_since_ >= database.busy_timeout_) return 0;
  std::this_thread::sleep_for(std::min<std::chrono::microseconds>(50us * (attempts + 1), 1ms));
  return 1;
}

Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::open(const SqliteOptions& options) {
  std::unique_ptr<SqliteDatabase> database{new SqliteDatabase{options}};
  const int opened =
      sqlite3_open_v2(options.file.c_str(), &database->handle_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (opened != SQLITE_OK) return database->last_error("opening");
  sqlite3_extended_result_codes(database->handle_, 1);
  sqlite3_busy_handler(database->handle_, &SqliteDatabase::wait_when_busy, database.get());

  const std::string settings =
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=" + std::string{synchronous_name(options.synchronous)} +
      "; PRAGMA foreign_keys=ON; PRAGMA wal_autocheckpoint=" + std::to_string(options.checkpoint_pages) + ";";
  // While several processes open a new file at once, SQLite reports some lock
  // conflicts without asking the busy handler.
  const auto deadline = std::chrono::steady_clock::now() + options.busy_timeout;
  for (;;) {
    auto set = database->execute(settings.c_str());
    if (set) return database;
    if (set.error().code != Errc::timed_out || std::chrono::steady_clock::now() >= deadline)
      return set.error();
    std::this_thread::sleep_for(1ms);
  }
}

Result<SqliteStatement> SqliteDatabase::prepare(std::string_view sql) {
  if (const auto found = cache_->statements.find(sql); found != cache_->statements.end()) {
    if (sqlite3_stmt_busy(found->second) == 0) return SqliteStatement{this, found->second, true};
  }
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return last_error("preparing a statement");
  const bool cached = cache_->statements.try_emplace(std::string{sql}, statement).second;
  return SqliteStatement{this, statement, cached};
}

Result<> SqliteDatabase::execute(const char* script) {
  if (sqlite3_exec(handle_, script, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return last_error("running a statement");
  }
  return {};
}

std::int64_t SqliteDatabase::changes() const {
  return sqlite3_changes64(handle_);
}

std::int64_t SqliteDatabase::data_version() {
  auto statement = prepare("PRAGMA data_version");
  if (!statement) return -1;
  const auto row = statement->step();
  return row && *row ? statement->integer(0) : -1;
}

bool SqliteDatabase::in_transaction() const {
  return sqlite3_get_autocommit(handle_) == 0;
}

Error SqliteDatabase::last_error(std::string_view while_doing) const {
  failure_ = sqlite3_extended_errcode(handle_);
  // SQLite does not keep the system's error of a COMMIT that fails.
  const int kept = sqlite3_system_errno(handle_);
  return translate(failure_, kept != 0 ? kept : errno, file_, sqlite3_errmsg(handle_), while_doing);
}

// --- transaction -------------------------------------------------------------

Result<SqliteTransaction> SqliteTransaction::begin(SqliteDatabase& database) {
  const auto begun = database.run("BEGIN IMMEDIATE");
  if (!begun) return begun.error();
  return SqliteTransaction{database};
}

SqliteTransaction::SqliteTransaction(SqliteTransaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

SqliteTransaction::~SqliteTransaction() {
  rollback();
}

Result<> SqliteTransaction::commit() {
  const auto committed = database_->run("COMMIT");
  if (!committed) {
    const Error error = committed.error();
    rollback();
    return error;
  }
  database_ = nullptr;
  return {};
}

void SqliteTransaction::rollback() {
  // After some failures (disk full, I/O) SQLite has rolled back already.
  if (database_ != nullptr && database_->in_transaction()) (void)database_->run("ROLLBACK");
  database_ = nullptr;
}

Result<> create_directory(const std::string& directory) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed) {
    return Error{failed == std::errc::no_space_on_device ? Errc::exhausted : Errc::unavailable,
                 "cannot create the directory " + directory + ": " + failed.message(),
                 "choose another one with --data or `data:`"};
  }
  return {};
}

}  // namespace flux::embedded
