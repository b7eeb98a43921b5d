#include "common/engines/embedded/topic_file.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "common/engines/embedded/record_batch.hpp"

namespace flux::embedded {
namespace {

constexpr int kPartitionShift = 40;
constexpr std::int64_t kTrimBatches = 256;  // per partition and transaction

// A batch is read whole even when a reader wants its last record only, so it is kept small.
constexpr std::size_t kBatchBytes = 32 << 10;
constexpr std::size_t kBatchRecords = 256;

constexpr const char* kSchema = R"sql(
CREATE TABLE IF NOT EXISTS partitions(
  partition INTEGER PRIMARY KEY,
  start_offset INTEGER NOT NULL DEFAULT 0,
  next_offset INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS batches(
  id INTEGER PRIMARY KEY,
  first_offset INTEGER NOT NULL,
  appended_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  records BLOB NOT NULL);
)sql";

std::int64_t batch_id(std::int32_t partition, std::int64_t last_offset) {
  return static_cast<std::int64_t>(partition) << kPartitionShift | last_offset;
}

}  // namespace

Result<std::unique_ptr<TopicFile>> TopicFile::open(const std::string& directory, const std::string& topic,
                                                   Duration busy_timeout) {
  auto database = SqliteDatabase::open({.file = directory + "/" + topic + ".topic.db",
                                        .synchronous = Synchronous::full,
                                        .busy_timeout = busy_timeout});
  if (!database) return database.error();
  const auto created = (*database)->execute(kSchema);
  if (!created) return created.error();
  return std::unique_ptr<TopicFile>{new TopicFile{topic, std::move(*database)}};
}

Result<std::int32_t> TopicFile::ensure_partitions(std::int32_t count) {
  auto transaction = SqliteTransaction::begin(*database_);
  if (!transaction) return transaction.error();
  for (std::int32_t partition = 0; partition < count; ++partition) {
    const auto added = database_->run("INSERT OR IGNORE INTO partitions(partition) VALUES(?)", partition);
    if (!added) return added.error();
  }
  auto rows = database_->prepare("SELECT count(*) FROM partitions");
  if (!rows) return rows.error();
  const auto row = rows->step();
  if (!row) return row.error();
  const auto total = static_cast<std::int32_t>(rows->integer(0));
  rows->reset();
  const auto committed = transaction->commit();
  if (!committed) return committed.error();
  return total;
}

Result<> TopicFile::append_partition(std::int32_t partition, std::int64_t first_offset,
                                     std::span<Entry*> entries, std::int64_t now_ms) {
  auto insert = database_->prepare(
      "INSERT INTO batches(id, first_offset, appended_ms, checksum, records) "
      "VALUES(?,?,?,?,?)");
  if (!insert) return insert.error();
  std::string batch;
  std::int64_t batch_first = first_offset;
  std::int64_t next = first_offset;
  const auto write = [&]() -> Result<> {
    auto written =
        insert->with(batch_id(partition, next - 1), batch_first, now_ms, batch_checksum(batch), Blob{batch})
            .run();
    batch.clear();
    batch_first = next;
    return written;
  };
  for (Entry* entry : entries) {
    const std::size_t size = encoded_size(*entry->record);
    const bool full = batch.size() + size > kBatchBytes || next - batch_first >= std::int64_t{kBatchRecords};
    if (!batch.empty() && full) {
      if (auto written = write(); !written) return written;
    }
    append_record(batch, *entry->record);
    entry->position.offset = next++;
  }
  if (auto written = write(); !written) return written;
  return database_->run("UPDATE partitions SET next_offset = ? WHERE partition = ?", next, partition);
}

Result<> TopicFile::append(std::span<Entry> entries, WallTime now) {
  auto transaction = SqliteTransaction::begin(*database_);
  if (!transaction) return transaction.error();
  const auto ranges = partitions();
  if (!ranges) return ranges.error();

  std::vector<std::vector<Entry*>> by_partition(ranges->size());
  for (Entry& entry : entries) {
    const auto partition = static_cast<std::size_t>(entry.position.partition);
    if (partition >= by_partition.size()) {
      return Error{Errc::not_found, topic_ + " has no partition " + std::to_string(partition)};
    }
    by_partition[partition].push_back(&entry);
  }
  for (std::size_t partition = 0; partition < by_partition.size(); ++partition) {
    if (by_partition[partition].empty()) continue;
    const auto appended =
        append_partition(static_cast<std::int32_t>(partition), (*ranges)[partition].next_offset,
                         by_partition[partition], unix_ms(now));
    if (!appended) return appended.error();
  }
  const auto committed = transaction->commit();
  if (!committed) {
    Error error = committed.error();
    // The commit is the last thing written: when writing failed it is not there.
    // After any other failure here (the sync, the index) it may be found after
    // a restart.
    const int code = database_->last_code();
    if (code != SQLITE_FULL && code != SQLITE_IOERR_WRITE) error.code = Errc::maybe_persisted;
    return error;
  }
  return {};
}

Result<> TopicFile::read(std::int32_t partition, std::int64_t& offset, std::size_t max,
                         std::vector<ConsumedRecord>& records) {
  auto rows = database_->prepare(
      "SELECT id, first_offset, appended_ms, checksum, records FROM batches "
      "WHERE id >= ? AND id < ? ORDER BY id");
  if (!rows) return rows.error();
  rows->with(batch_id(partition, offset), batch_id(partition + 1, 0));
  for (std::size_t read = 0; read < max;) {
    const auto row = rows->step();
    if (!row) return row.error();
    if (!*row) break;
    const std::int64_t last = rows->integer(0) - batch_id(partition, 0);
    const std::string_view batch = rows->view(4);
    const auto damaged = [&] {
      return Error{Errc::corrupted,
                   database_->file() + ": the batch of partition " + std::to_string(partition) +
                       " up to offset " + std::to_string(last) + " does not read back",
                   "stop all processes, move the file away and restore it from a copy"};
    };
    if (batch_checksum(batch) != rows->integer(3)) return damaged();
    BatchReader reader{batch};
    std::int64_t at = rows->integer(1);
    for (; at < offset; ++at) {
      if (!reader.skip()) return damaged();
    }
    const WallTime appended = from_unix_ms(rows->integer(2));
    for (; at <= last && read < max; ++at, ++read) {
      ConsumedRecord& record = records.emplace_back();
      if (!reader.read(record)) {
        records.pop_back();
        return damaged();
      }
      record.source = {topic_, partition};
      record.offset = at;
      record.timestamp = appended;
      offset = at + 1;
    }
  }
  return {};
}

Result<std::vector<PartitionRange>> TopicFile::partitions() {
  auto rows = database_->prepare("SELECT start_offset, next_offset FROM partitions ORDER BY partition");
  if (!rows) return rows.error();
  std::vector<PartitionRange> ranges;
  for (;;) {
    const auto row = rows->step();
    if (!row) return row.error();
    if (!*row) return ranges;
    ranges.push_back({rows->integer(0), rows->integer(1)});
  }
}

Result<std::int64_t> TopicFile::drop_oldest(std::int32_t partition, std::int64_t appended_before_ms,
                                            std::int64_t limit) {
  // Appended times do not go back within a partition but for the clock's jumps,
  // so stopping at the first batch that is young enough is right and cheap.
  auto rows =
      database_->prepare("SELECT id, appended_ms FROM batches WHERE id >= ? AND id < ? ORDER BY id LIMIT ?");
  if (!rows) return rows.error();
  rows->with(batch_id(partition, 0), batch_id(partition + 1, 0), limit);
  std::int64_t last = -1;
  std::int64_t dropped = 0;
  for (;; ++dropped) {
    const auto row = rows->step();
    if (!row) return row.error();
    if (!*row || rows->integer(1) >= appended_before_ms) break;
    last = rows->integer(0);
  }
  rows->reset();
  if (dropped == 0) return dropped;
  auto done = database_->run("DELETE FROM batches WHERE id >= ? AND id <= ?", batch_id(partition, 0), last);
  if (!done) return done.error();
  done = database_->run("UPDATE partitions SET start_offset = ? WHERE partition = ?",
                        last - batch_id(partition, 0) + 1, partition);
  if (!done) return done.error();
  return dropped;
}

Result<bool> TopicFile::trim(WallTime oldest, std::uint64_t max_bytes) {
  auto transaction = SqliteTransaction::begin(*database_);
  if (!transaction) return transaction.error();
  std::int64_t appended_before_ms = unix_ms(oldest);
  if (max_bytes > 0) {
    auto size = database_->prepare(
        "SELECT (p.page_count - f.freelist_count) * s.page_size FROM "
        "pragma_page_count p, pragma_freelist_count f, pragma_page_size s");
    if (!size) return size.error();
    const auto row = size->step();
    if (!row) return row.error();
    if (static_cast<std::uint64_t>(size->integer(0)) > max_bytes) {
      appended_before_ms = std::numeric_limits<std::int64_t>::max();
    }
  }
  const bool by_size = appended_before_ms == std::numeric_limits<std::int64_t>::max();
  const auto ranges = partitions();
  if (!ranges) return ranges.error();
  bool more = false;
  for (std::size_t partition = 0; partition < ranges->size(); ++partition) {
    // By size, a few at a time: then the size is looked at again.
    const std::int64_t limit = by_size ? 16 : kTrimBatches;
    const auto dropped = drop_oldest(static_cast<std::int32_t>(partition), appended_before_ms, limit);
    if (!dropped) return dropped.error();
    more = more || *dropped == limit || (by_size && *dropped > 0);
  }
  const auto committed = transaction->commit();
  if (!committed) return committed.error();
  return more;
}

}  // namespace flux::embedded
