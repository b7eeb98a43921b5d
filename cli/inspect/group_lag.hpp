#pragma once
// How far groups are behind: looks at the log, remembers the last looks, judges.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/inspect/lag_verdict.hpp"
#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/ports/log_inspector.hpp"

namespace flux::inspect {

struct PartitionLag {
  std::int32_t partition = 0;
  std::int64_t start = 0;
  std::optional<std::int64_t> committed{};
  std::int64_t end = 0;
  std::int64_t lag = 0;
  std::optional<Duration> time_lag{};  // age of the oldest record that is not read
  std::string member{};                // empty: none
  std::string host{};
  LagStatus status = LagStatus::unknown;
  // Records that retention deleted before the group read them.
  std::int64_t lost() const { return committed && *committed < start ? start - *committed : 0; }
};

struct TopicLag {
  std::string topic;
  std::vector<PartitionLag> partitions;
  std::int64_t lag = 0;
};

struct GroupLag {
  std::string group;
  std::string state;
  LagStatus status = LagStatus::unknown;
  int members = 0;
  std::int64_t lag = 0;
  std::optional<LagRates> rates{};  // after the second look
  std::optional<Duration> eta{};
  int recommended_workers = 1;
  std::vector<TopicLag> topics{};
};

struct LagQuestion {
  std::vector<std::string> groups{};  // empty: all
  std::vector<std::string> topics{};  // empty: all
  std::int64_t threshold = 1000;      // of a group's sum
};

// The partition that holds most of a topic's lag, which the sum hides; null: none.
const PartitionLag* hot_partition(const TopicLag& topic);
bool is_in_trouble(const GroupLag& group, std::int64_t threshold);
// What to do about it, a line each.
std::vector<std::string> advice(const GroupLag& group, std::int64_t threshold);

// Not thread-safe. Each look adds to the windows of the partitions it saw.
class LagWatch {
 public:
  LagWatch(LogInspector& log, LagQuestion question, const Clock& clock)
      : log_(log), question_(std::move(question)), clock_(clock) {}

  // Finds groups, members and partitions; `not_found` names a group or topic that is not there.
  Result<> discover();
  // Reads the offsets of what was discovered.
  Result<> look();
  // Judges what was seen; after at least one look.
  std::vector<GroupLag> report() const;

 private:
  struct Seen {
    std::deque<LagSample> samples;
    std::optional<std::int64_t> committed;
    std::optional<WallTime> next_appended_at;
    PartitionEnds ends;
    bool has_leader = true;
  };
  struct Reader {
    std::string member;
    std::string host;
  };
  struct WatchedGroup {
    GroupDescription description;
    std::map<TopicPartition, Reader> readers;
    std::map<TopicPartition, Seen> partitions;
  };
  bool is_asked(const std::string& topic) const;
  void note(WatchedGroup& group, const std::vector<CommittedOffset>& committed,
            const std::map<TopicPartition, PartitionEnds>& ends);
  GroupLag judge_group(const WatchedGroup& group) const;
  PartitionLag judge_partition(const WatchedGroup& group, const TopicPartition& source,
                               const Seen& seen) const;
  std::optional<LagRates> rates_of(const WatchedGroup& group) const;

  LogInspector& log_;
  const LagQuestion question_;
  const Clock& clock_;
  std::map<std::string, std::map<std::int32_t, bool>> partitions_;  // topic, partition, has a leader
  std::map<std::string, WatchedGroup> groups_;
  WallTime now_{};
};

}  // namespace flux::inspect
