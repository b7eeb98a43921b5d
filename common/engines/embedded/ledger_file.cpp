#include "common/engines/embedded/ledger_file.hpp"

#include <array>
#include <chrono>

namespace flux::embedded {
namespace {

// Migration i brings a file from version i to i + 1; written ones never change.
// Times are microseconds since the Unix epoch, ids the 16 bytes of a UUID.
constexpr std::array kMigrations{
    R"sql(
CREATE TABLE products (
  product_id TEXT PRIMARY KEY,
  stock      INTEGER NOT NULL,
  confirmed  INTEGER NOT NULL DEFAULT 0,
  buckets    INTEGER NOT NULL,
  CHECK (confirmed BETWEEN 0 AND stock)
) WITHOUT ROWID;

CREATE TABLE offsets (
  consumer_group TEXT NOT NULL,
  topic          TEXT NOT NULL,
  partition      INTEGER NOT NULL,
  epoch          INTEGER NOT NULL,
  next_offset    INTEGER NOT NULL,
  PRIMARY KEY (consumer_group, topic, partition)
) WITHOUT ROWID;

CREATE TABLE orders (
  order_id    BLOB PRIMARY KEY,
  product_id  TEXT NOT NULL,
  bucket      INTEGER NOT NULL,
  quantity    INTEGER NOT NULL,
  user_id     TEXT NOT NULL,
  status      INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL,
  settled_at  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE workflows (
  workflow_id BLOB PRIMARY KEY,
  name        TEXT NOT NULL,
  version     INTEGER NOT NULL,
  steps       TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE runs (
  run_id           BLOB PRIMARY KEY,
  workflow_id      BLOB NOT NULL,
  workflow_version INTEGER NOT NULL,
  status           INTEGER NOT NULL,
  input            TEXT NOT NULL,
  created_at       INTEGER NOT NULL,
  finished_at      INTEGER,
  steps            TEXT NOT NULL
);
CREATE INDEX runs_by_status ON runs (status, run_id);
CREATE INDEX runs_by_workflow ON runs (workflow_id, run_id);

CREATE TABLE jobs (
  job_id     BLOB PRIMARY KEY,
  type       TEXT NOT NULL,
  payload    BLOB NOT NULL,
  priority   INTEGER NOT NULL,
  status     INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,
  due_at     INTEGER NOT NULL,
  last_error TEXT
);
-- due_at: when a waiting job may start, or when the lease of a running one ends.
CREATE INDEX jobs_open ON jobs (type, priority DESC, due_at, job_id) WHERE status IN (0, 1);

CREATE TABLE audit (
  audit_id INTEGER PRIMARY KEY,
  at       INTEGER NOT NULL,
  actor    TEXT NOT NULL,
  action   TEXT NOT NULL,
  detail   TEXT NOT NULL
);
)sql",
};

}  // namespace

Result<std::unique_ptr<LedgerFile>> LedgerFile::open(const std::string& directory) {
  if (auto made = create_directory(directory); !made) return made.error();
  std::unique_ptr<LedgerFile> ledger{new LedgerFile{directory + "/ledger.db"}};
  auto turns = WriteTurns::open(directory + "/ledger.lock");
  if (!turns) return turns.error();
  ledger->turns_ = std::move(*turns);
  auto writer = ledger->connect();
  if (!writer) return writer.error();
  ledger->writer_ = std::move(*writer);
  if (auto migrated = ledger->migrate(); !migrated) return migrated.error();
  return ledger;
}

Result<> LedgerFile::migrate() {
  return write([this](SqliteDatabase& database) -> Result<> {
    std::int64_t version = 0;
    {
      auto statement = database.prepare("PRAGMA user_version");
      if (!statement) return statement.error();
      if (auto row = statement->step(); !row) return row.error();
      version = statement->integer(0);
    }
    constexpr auto kNewest = static_cast<std::int64_t>(kMigrations.size());
    if (version > kNewest)
      return Error{Errc::refused,
                   file_ + " was written by a newer flux (schema " + std::to_string(version) +
                       ", this one knows " + std::to_string(kNewest) + ")",
                   "run the newer flux, or choose another directory with --data"};
    if (version == kNewest) return {};
    for (auto i = static_cast<std::size_t>(version); i < kMigrations.size(); ++i)
      if (auto done = database.execute(kMigrations[i]); !done) return done.error();
    return database.execute(("PRAGMA user_version=" + std::to_string(kNewest)).c_str());
  });
}

Result<std::unique_ptr<SqliteDatabase>> LedgerFile::connect() const {
  return SqliteDatabase::open(
      {.file = file_, .synchronous = Synchronous::full, .busy_timeout = kPatience, .checkpoint_pages = 4000});
}

Result<std::unique_ptr<SqliteDatabase>> LedgerFile::borrow() {
  {
    std::unique_lock lock{mutex_};
    const bool free =
        returned_.wait_for(lock, kPatience, [&] { return !idle_.empty() || opened_ < kReaders; });
    if (!free)
      return Error{Errc::timed_out, file_ + ": all " + std::to_string(kReaders) + " readers are busy",
                   "ask again, or ask for less at once", true};
    if (!idle_.empty()) {
      auto reader = std::move(idle_.back());
      idle_.pop_back();
      return reader;
    }
    ++opened_;
  }
  auto reader = connect();
  if (!reader) {
    const std::lock_guard lock{mutex_};
    --opened_;
    returned_.notify_one();
  }
  return reader;
}

void LedgerFile::give_back(std::unique_ptr<SqliteDatabase> reader) {
  const std::lock_guard lock{mutex_};
  idle_.push_back(std::move(reader));
  returned_.notify_one();
}

}  // namespace flux::embedded
