#pragma once
// Whether a group keeps up, judged from what was seen of each partition over a
// short window, and what follows from it. Pure: no clock, no connection.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "common/core/clock.hpp"

namespace flux::inspect {

// From harmless to bad; a group has the status of its worst partition.
enum class LagStatus {
  ok,
  empty,    // of a group: nobody reads, and nothing waits to be read
  unknown,  // not watched long enough to tell
  warning,  // it reads, but falls further behind
  stopped,  // nobody commits any more
  stalled,  // somebody is there and does not move on
  rewind,   // the committed offset went back and stayed there
};
std::string_view to_string(LagStatus status);
bool is_bad(LagStatus status);

// One look at a partition.
struct LagSample {
  WallTime seen{};
  std::optional<WallTime> committed_at{};  // when the log tells; else a look counts as a commit
  std::int64_t committed = 0;
  std::int64_t end = 0;
};

struct LagWindow {
  std::span<const LagSample> samples;  // oldest first
  bool attended = true;                // a member reads the partition, or will after the rebalance
  std::optional<Duration> waiting{};   // age of the oldest record that is not read
};

struct LagRules {
  std::int64_t allowed = 0;  // lag that is never bad
  // Silence shorter than this proves nothing: consumers commit every 5 s by default.
  Duration patience = std::chrono::seconds{10};
};

// Burrow's rules, for windows that may be too short for them.
LagStatus judge(const LagWindow& window, const LagRules& rules = {});

// Records that wait: from the committed offset, or from the start of the log when
// nothing was committed or retention overtook the group; never below 0.
std::int64_t lag_of(std::int64_t start, std::optional<std::int64_t> committed, std::int64_t end);

struct LagRates {
  double in = 0;   // records a second
  double out = 0;  // the same, committed
};

// Until nothing waits; nullopt: never at these rates.
std::optional<Duration> time_to_drain(std::int64_t lag, const LagRates& rates);

struct WorkerNeed {
  std::int64_t lag = 0;
  std::int64_t threshold = 0;
  std::optional<LagRates> rates{};
  int members = 0;
  int partitions = 0;
  Duration drain_within = std::chrono::minutes{1};
};

// As many as keep pace and drain in time at the pace of today's members; never
// fewer than today's, at least 1, never more than there are partitions.
int recommended_workers(const WorkerNeed& need);

}  // namespace flux::inspect
