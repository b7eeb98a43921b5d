#pragma once
// The event log: partitioned topics of records, ordered per key, durable before
// they are acknowledged, read by consumer groups.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"

namespace flux {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Record {
  std::string topic;
  std::string key;  // records with one key land in one partition, in order; empty: any partition
  std::string value;
  Headers headers{};
};

struct TopicPartition {
  std::string topic;
  std::int32_t partition = 0;
  auto operator<=>(const TopicPartition&) const = default;
};

struct RecordPosition {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
};

struct ConsumedRecord {
  TopicPartition source;
  std::int64_t offset = 0;
  std::string key;
  std::string value;
  Headers headers{};
  WallTime timestamp{};  // when it was appended
};

// Appends. One per event loop: use it from the thread that runs the executor
// given to EventLog::producer.
class EventProducer {
 public:
  // Failed: `unavailable` (certainly not persisted, retryable), `exhausted`
  // (queue or disk full: certainly not persisted), `maybe_persisted` (unknown),
  // `not_found` (no such topic), `invalid_argument` (record too large).
  virtual ~EventProducer() = default;
  // Completes on the executor when the record is durable, within the configured
  // delivery timeout. Does not block. Records of one producer with one key are
  // persisted in call order. Name the record before the co_await: g++ 12 miscompiles
  // an aggregate written inside the expression (the string is freed twice).
  virtual boost::asio::awaitable<Result<RecordPosition>> append(Record record) = 0;

  // Waits until everything appended is acknowledged or `timeout` passes; blocks.
  // For shutdown, after the loop stopped accepting work.
  virtual Result<> flush(Duration timeout) = 0;
};

// Called by EventConsumer::poll on the polling thread.
class RebalanceListener {
 public:
  virtual ~RebalanceListener() = default;
  // Says where to start each newly assigned partition: the ledger's offset.
  // `std::nullopt`: the group's committed offset, else the start of the log.
  // An error gives the partitions back and poll returns that error.
  virtual Result<std::vector<std::optional<std::int64_t>>> assigned(
      const std::vector<TopicPartition>& partitions) = 0;
  // The partitions are going away. lost = true: they may belong to another
  // member already, so nothing may be committed for them.
  virtual void revoked(const std::vector<TopicPartition>& partitions, bool lost) = 0;
};

struct ConsumerOptions {
  std::string group;
  std::vector<std::string> topics;
  std::string member_name{};  // shown by inspectors; static membership when is_static
  bool is_static = false;
  Duration session_timeout = std::chrono::seconds{10};
  RebalanceListener* listener = nullptr;  // may be null; must outlive the consumer
};

// A member of a group. Not thread-safe: one thread owns it.
class EventConsumer {
 public:
  virtual ~EventConsumer() = default;
  // Blocks up to `wait` for the first record, then returns what is at hand (at
  // most `max`), in order within each partition. Empty: nothing came. Must be
  // called at least every session timeout, or the member is replaced.
  virtual Result<std::vector<ConsumedRecord>> poll(std::size_t max, Duration wait) = 0;
  // Mirrors the group's progress for tools: the next offset to read. Never
  // blocks long; losing it loses nothing, as the ledger decides.
  virtual Result<> commit(const std::vector<std::pair<TopicPartition, std::int64_t>>& next_offsets) = 0;
  // Back-pressure: paused partitions deliver nothing until resumed.
  virtual Result<> pause(const std::vector<TopicPartition>& partitions) = 0;
  virtual Result<> resume(const std::vector<TopicPartition>& partitions) = 0;
  virtual std::vector<TopicPartition> assignment() const = 0;
  // Leaves the group, so that others take over at once. Idempotent.
  virtual Result<> close(Duration timeout) = 0;
};

struct TopicSpec {
  std::string name;
  std::int32_t partitions = 12;
  std::int32_t replication = 1;
};

// Thread-safe. Calls block for network or disk, at most the configured timeout.
class EventLog {
 public:
  virtual ~EventLog() = default;
  virtual Result<std::unique_ptr<EventProducer>> producer(boost::asio::any_io_executor loop) = 0;
  virtual Result<std::unique_ptr<EventConsumer>> consumer(const ConsumerOptions& options) = 0;
  // Creates what is missing, leaves what exists (partitions never shrink).
  virtual Result<> ensure_topics(const std::vector<TopicSpec>& topics) = 0;
  virtual Result<std::int32_t> partition_count(const std::string& topic) = 0;
  // The offset after the last durable record of each partition.
  virtual Result<std::vector<std::int64_t>> end_offsets(const std::string& topic) = 0;
  // The group's committed (mirrored) offset of each partition; nullopt: none.
  virtual Result<std::vector<std::optional<std::int64_t>>> committed_offsets(const std::string& group,
                                                                             const std::string& topic) = 0;
  // A cheap round trip that proves the log is reachable and writable.
  virtual Result<> ping(Duration timeout) = 0;
};

}  // namespace flux
