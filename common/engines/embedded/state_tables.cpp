#include "common/engines/embedded/state_tables.hpp"

#include "common/ports/rate_bucket.hpp"

namespace flux::embedded {
namespace {

constexpr int kSchemaVersion = 1;

// Times are microseconds since the Unix epoch. `timed` tables have one shape, so
// that one sweeper serves them.
constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS product (
  id INTEGER PRIMARY KEY, product_id TEXT NOT NULL UNIQUE, buckets INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS bucket (
  product INTEGER NOT NULL, bucket INTEGER NOT NULL,
  available INTEGER NOT NULL, reserved INTEGER NOT NULL, confirmed INTEGER NOT NULL,
  PRIMARY KEY (product, bucket)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservation (
  order_id BLOB NOT NULL, product INTEGER NOT NULL, bucket INTEGER NOT NULL, buckets INTEGER NOT NULL,
  quantity INTEGER NOT NULL, reserved_at INTEGER NOT NULL,
  PRIMARY KEY (order_id, product)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservation_age ON reservation (reserved_at);
CREATE TABLE IF NOT EXISTS timed_key (
  key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL, fingerprint BLOB NOT NULL, order_id BLOB NOT NULL,
  lease_until INTEGER NOT NULL, answer BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timed_rate (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timed_cache (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS lease (
  name BLOB PRIMARY KEY, owner BLOB NOT NULL, token INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
)";

Result<> create_schema(SqliteDatabase& database) {
  auto transaction = SqliteTransaction::begin(database);
  if (!transaction) return transaction.error();
  if (auto made = database.execute(kSchema); !made) return made;
  if (auto set = database.run("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", kSchemaVersion); !set)
    return set;
  {
    auto version = database.prepare("SELECT value FROM meta WHERE name = 'schema'");
    if (!version) return version.error();
    if (auto row = version->step(); !row) return row.error();
    if (version->integer(0) != kSchemaVersion) {
      return Error{Errc::conflict,
                   database.file() + " was written by another version of flux (schema " +
                       std::to_string(version->integer(0)) + ", here " + std::to_string(kSchemaVersion) + ")",
                   "use the same version, or another data directory"};
    }
  }
  return transaction->commit();
}

}  // namespace

bool is_refusal(Errc code) {
  return code == Errc::sold_out || code == Errc::not_found || code == Errc::invalid_argument;
}

StateTables::StateTables(std::unique_ptr<SqliteDatabase> database, const Clock& clock)
    : database_(std::move(database)), clock_(clock) {}

Result<std::unique_ptr<StateTables>> StateTables::open(const std::string& file, const Clock& clock,
                                                       bool create, Duration busy_timeout) {
  // A crash of the process loses nothing; after a power loss the stock is
  // rebuilt from the ledger when is_restored() says so, so no fsync is waited for.
  auto database =
      SqliteDatabase::open({.file = file, .synchronous = Synchronous::normal, .busy_timeout = busy_timeout});
  if (!database) return database.error();
  if (create)
    if (auto made = create_schema(**database); !made) return made.error();
  return std::unique_ptr<StateTables>{new StateTables{std::move(*database), clock}};
}

std::int64_t StateTables::now_us() const {
  return unix_us(clock_.wall());
}

Result<bool> StateTables::is_restored() {
  auto row = database_->prepare("SELECT value FROM meta WHERE name = 'restored'");
  if (!row) return row.error();
  return row->step();
}

Result<> StateTables::mark_restored() {
  return database_->run("INSERT OR REPLACE INTO meta VALUES ('restored', 1)");
}

Result<> StateTables::sweep_table(const char* table, std::string& cursor) {
  const std::string name{table};
  std::string last;
  {
    auto end = database_->prepare("SELECT max(key) FROM (SELECT key FROM " + name +
                                  " WHERE key > ? ORDER BY key LIMIT 500)");
    if (!end) return end.error();
    auto row = end->with(Blob{cursor}).step();
    if (!row) return row.error();
    if (end->is_null(0)) {  // the end: begin again next time
      cursor.clear();
      return {};
    }
    last = end->text(0);
  }
  auto swept = database_->run("DELETE FROM " + name + " WHERE key > ? AND key <= ? AND expires_at <= ?",
                              Blob{cursor}, Blob{last}, now_us());
  if (swept) cursor = std::move(last);
  return swept;
}

Result<> StateTables::sweep() {
  if (auto done = sweep_table("timed_key", sweep_keys_); !done) return done;
  if (auto done = sweep_table("timed_cache", sweep_cache_); !done) return done;
  return sweep_table("timed_rate", sweep_rates_);
}

}  // namespace flux::embedded
