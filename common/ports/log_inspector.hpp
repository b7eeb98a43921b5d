#pragma once
// The event log from outside: anybody's topics and groups, for `flux lag`,
// `flux topics` and `flux dlq`. Each call takes many names at once.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/ports/event_log.hpp"

namespace flux {

struct GroupMember {
  std::string id;
  std::string client_id;
  std::string host;
  std::vector<TopicPartition> assigned;
};

struct GroupDescription {
  std::string name;
  std::string state;  // Stable, Empty, PreparingRebalance, CompletingRebalance, Dead
  std::vector<GroupMember> members;
  // Partitions of the group that no member reads; only where the log remembers them.
  std::vector<TopicPartition> unattended{};
};

struct CommittedOffset {
  TopicPartition source;
  std::int64_t offset = 0;
  std::string metadata;  // as the committer wrote it; often empty
  // Only where the log tells without reading its records:
  std::optional<WallTime> committed_at{};
  std::optional<WallTime> next_appended_at{};  // the oldest record that is not read yet
};

struct PartitionEnds {
  TopicPartition source;
  std::int64_t start = 0;  // the oldest record that is left
  std::int64_t end = 0;    // the high watermark: one after the newest
};

struct PartitionDescription {
  std::int32_t id = 0;
  std::int32_t leader = -1;  // -1: none
  std::vector<std::int32_t> replicas;
  std::vector<std::int32_t> in_sync;
};

struct TopicDescription {
  std::string name;
  std::vector<PartitionDescription> partitions;
};

// Thread-safe. Calls block, at most the configured timeout, and change nothing but
// where the name says so. Failed: `unavailable` (retryable), `not_found`,
// `unauthorized`, `forbidden`.
class LogInspector {
 public:
  virtual ~LogInspector() = default;
  virtual Result<std::vector<std::string>> groups() = 0;
  // In the order asked for. A group that does not exist has the state Dead.
  virtual Result<std::vector<GroupDescription>> describe_groups(const std::vector<std::string>& names) = 0;
  // Per group asked for, in that order: every partition it has committed.
  virtual Result<std::vector<std::vector<CommittedOffset>>> committed(
      const std::vector<std::string>& groups) = 0;
  // In the order asked for.
  virtual Result<std::vector<PartitionEnds>> ends(const std::vector<TopicPartition>& partitions) = 0;
  // All topics, or the one named.
  virtual Result<std::vector<TopicDescription>> topics(
      const std::optional<std::string>& name = std::nullopt) = 0;
  virtual Result<std::map<std::string, std::string>> topic_settings(const std::string& topic) = 0;
  // Fails with `already_exists`; waits until every partition has a leader.
  virtual Result<> create_topic(const TopicSpec& topic) = 0;
  // `partitions` is the new total; fails with `invalid_argument` when that is not more.
  virtual Result<> expand_topic(const std::string& topic, std::int32_t partitions) = 0;
};

}  // namespace flux
