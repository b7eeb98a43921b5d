#pragma once
// The records of one topic: <directory>/log/<topic>.topic.db. Schema, also for
// those who look from outside:
//
//   partitions(partition, start_offset, next_offset)
//     start_offset is the oldest record still there, next_offset the one after
//     the newest; their difference is the number of records.
//   batches(id, first_offset, appended_ms, checksum, records)
//     id = partition << 40 | last_offset, so that the batch that holds an offset
//     is the first with an id not below it; appended_ms is Unix time; records
//     are encoded as record_batch.hpp says.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/engines/embedded/sqlite_database.hpp"
#include "common/ports/event_log.hpp"

namespace flux::embedded {

struct PartitionRange {
  std::int64_t start_offset = 0;
  std::int64_t next_offset = 0;
};

// One connection; belongs to one thread at a time.
class TopicFile {
 public:
  static Result<std::unique_ptr<TopicFile>> open(const std::string& directory, const std::string& topic,
                                                 Duration busy_timeout = std::chrono::seconds{5});

  // Makes rows for partitions up to `count`. Returns how many there are.
  Result<std::int32_t> ensure_partitions(std::int32_t count);

  struct Entry {
    const Record* record = nullptr;
    RecordPosition position{};  // partition given, offset filled in
  };
  // Appends all in one durable transaction. Failed: `maybe_persisted` when only
  // the last step failed, everything else is certainly not there.
  Result<> append(std::span<Entry> entries, WallTime now);

  // Adds records from `offset` on, at most `max`; moves `offset` behind them.
  Result<> read(std::int32_t partition, std::int64_t& offset, std::size_t max,
                std::vector<ConsumedRecord>& records);

  Result<std::vector<PartitionRange>> partitions();

  // Drops batches appended before `oldest`, and the oldest ones while the file
  // holds more than `max_bytes` (0: no limit). Does a bounded part of the work;
  // true: call again.
  Result<bool> trim(WallTime oldest, std::uint64_t max_bytes);

 private:
  TopicFile(std::string topic, std::unique_ptr<SqliteDatabase> database)
      : topic_(std::move(topic)), database_(std::move(database)) {}
  Result<> append_partition(std::int32_t partition, std::int64_t first_offset, std::span<Entry*> entries,
                            std::int64_t now_ms);
  Result<std::int64_t> drop_oldest(std::int32_t partition, std::int64_t appended_before_ms,
                                   std::int64_t limit);

  std::string topic_;
  std::unique_ptr<SqliteDatabase> database_;
};

}  // namespace flux::embedded
