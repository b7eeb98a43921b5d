#include "cli/inspect/lag_verdict.hpp"

#include <algorithm>
#include <cmath>

namespace flux::inspect {
namespace {

WallTime commit_time(const LagSample& sample) {
  return sample.committed_at.value_or(sample.seen);
}

// Looks that show one and the same commit are one commit.
std::vector<LagSample> commits_of(std::span<const LagSample> samples) {
  std::vector<LagSample> commits;
  for (const LagSample& sample : samples) {
    const bool same = !commits.empty() && sample.committed_at && commits.back().committed_at &&
                      *sample.committed_at == *commits.back().committed_at &&
                      sample.committed == commits.back().committed;
    if (same)
      commits.back() = sample;
    else
      commits.push_back(sample);
  }
  return commits;
}

bool has_rewound(const std::vector<LagSample>& commits) {
  std::int64_t highest = commits.front().committed;
  for (const LagSample& commit : commits) highest = std::max(highest, commit.committed);
  return commits.back().committed < highest;
}

bool never_decreases(const std::vector<LagSample>& commits) {
  return std::is_sorted(commits.begin(), commits.end(), [](const LagSample& a, const LagSample& b) {
    return a.end - a.committed < b.end - b.committed;
  });
}

}  // namespace

std::string_view to_string(LagStatus status) {
  switch (status) {
    case LagStatus::ok: return "ok";
    case LagStatus::empty: return "empty";
    case LagStatus::unknown: return "unknown";
    case LagStatus::warning: return "warning";
    case LagStatus::stopped: return "stopped";
    case LagStatus::stalled: return "stalled";
    case LagStatus::rewind: return "rewind";
  }
  return "unknown";
}

bool is_bad(LagStatus status) {
  return status >= LagStatus::warning;
}

LagStatus judge(const LagWindow& window, const LagRules& rules) {
  if (window.samples.empty()) return LagStatus::unknown;
  const LagSample& now = window.samples.back();
  const auto lag = [](const LagSample& sample) { return sample.end - sample.committed; };
  const auto is_caught_up = [&](const LagSample& sample) { return lag(sample) <= rules.allowed; };
  if (is_caught_up(now)) return LagStatus::ok;

  const std::vector<LagSample> commits = commits_of(window.samples);
  const bool moved = std::any_of(commits.begin(), commits.end(), [&](const LagSample& commit) {
    return commit.committed != commits.front().committed;
  });
  if (!window.attended && !moved) return LagStatus::stopped;
  // What came in only just now is nobody's fault, however long nothing came before.
  const bool is_fresh = window.waiting && *window.waiting < rules.patience;

  // A broker offset that was not above the commit: the group had read all there was.
  const bool was_caught_up = std::any_of(window.samples.begin(), window.samples.end(),
                                         [&](const LagSample& s) { return s.end <= now.committed; });
  const Duration span = commit_time(commits.back()) - commit_time(commits.front());
  const Duration silence = now.seen - commit_time(commits.back());
  if (silence > std::max(span, rules.patience) && !was_caught_up && !is_fresh) return LagStatus::stopped;
  if (has_rewound(commits)) return LagStatus::rewind;
  if (std::any_of(commits.begin(), commits.end(), is_caught_up) || is_fresh) return LagStatus::ok;

  if (now.seen - window.samples.front().seen < rules.patience) {
    const bool committed_lately = now.committed_at && silence <= rules.patience;
    return moved || committed_lately ? LagStatus::ok : LagStatus::unknown;
  }
  if (!moved) return commits.size() > 1 ? LagStatus::stalled : LagStatus::unknown;
  return commits.size() > 1 && never_decreases(commits) ? LagStatus::warning : LagStatus::ok;
}

std::int64_t lag_of(std::int64_t start, std::optional<std::int64_t> committed, std::int64_t end) {
  return std::max<std::int64_t>(0, end - std::max(start, committed.value_or(start)));
}

std::optional<Duration> time_to_drain(std::int64_t lag, const LagRates& rates) {
  if (lag <= 0) return Duration{0};
  const double pace = rates.out - rates.in;
  constexpr double kForever = 100.0 * 365 * 86'400;  // beyond this a Duration overflows
  const double seconds = pace > 0 ? static_cast<double>(lag) / pace : kForever;
  if (seconds >= kForever) return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{seconds});
}

int recommended_workers(const WorkerNeed& need) {
  const int most = std::max(1, need.partitions);
  const int present = std::clamp(need.members, 1, most);
  if (need.lag <= need.threshold || !need.rates || need.rates->out <= 0) return present;
  const double pace_of_one = need.rates->out / present;
  const double drain =
      static_cast<double>(need.lag) / std::chrono::duration<double>{need.drain_within}.count();
  const double workers = std::ceil((need.rates->in + drain) / pace_of_one);
  return std::max(present, static_cast<int>(std::min<double>(workers, most)));
}

}  // namespace flux::inspect
