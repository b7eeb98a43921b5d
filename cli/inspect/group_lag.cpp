#include "cli/inspect/group_lag.hpp"

#include <algorithm>
#include <set>

namespace flux::inspect {
namespace {

// A window holds this many looks, or this long, whichever is more.
constexpr std::size_t kWindowLooks = 10;
constexpr Duration kWindowSpan = std::chrono::seconds{30};

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_rebalancing(const GroupDescription& group) {
  return group.state.ends_with("Rebalance");
}

void remember(std::deque<LagSample>& samples, const LagSample& sample) {
  samples.push_back(sample);
  while (samples.size() > kWindowLooks && sample.seen - samples[1].seen >= kWindowSpan) samples.pop_front();
}

Error no_such_groups(const std::vector<std::string>& missing, const std::vector<std::string>& known) {
  constexpr std::size_t kNamed = 8;
  std::string names;
  for (const std::string& name : missing) names += (names.empty() ? "" : ", ") + name;
  std::string others;
  for (std::size_t i = 0; i < known.size() && i < kNamed; ++i) others += (i == 0 ? "" : ", ") + known[i];
  if (known.size() > kNamed) others += ", …";
  return {Errc::not_found, "no consumer group " + names + " in the event log",
          known.empty() ? "there are no groups yet" : "there are: " + others};
}

}  // namespace

bool LagWatch::is_asked(const std::string& topic) const {
  return (question_.topics.empty() || contains(question_.topics, topic)) && partitions_.contains(topic);
}

Result<> LagWatch::discover() {
  const auto known = log_.groups();
  if (!known) return known.error();
  std::vector<std::string> missing;
  for (const std::string& name : question_.groups)
    if (!contains(*known, name)) missing.push_back(name);
  if (!missing.empty()) return no_such_groups(missing, *known);
  const auto described = log_.describe_groups(question_.groups.empty() ? *known : question_.groups);
  if (!described) return described.error();
  const auto topics = log_.topics();
  if (!topics) return topics.error();

  partitions_.clear();
  for (const TopicDescription& topic : *topics)
    for (const PartitionDescription& partition : topic.partitions)
      partitions_[topic.name][partition.id] = partition.leader >= 0;
  for (const std::string& topic : question_.topics)
    if (!partitions_.contains(topic))
      return Error{Errc::not_found, "no topic " + topic + " in the event log",
                   "list them with `flux topics list`"};

  std::map<std::string, WatchedGroup> before = std::move(groups_);
  groups_.clear();
  for (const GroupDescription& description : *described) {
    WatchedGroup& group = groups_[description.name];
    if (const auto old = before.find(description.name); old != before.end())
      group.partitions = std::move(old->second.partitions);
    group.description = description;
    for (const GroupMember& member : description.members)
      for (const TopicPartition& source : member.assigned)
        group.readers[source] = {member.client_id.empty() ? member.id : member.client_id, member.host};
  }
  return {};
}

Result<> LagWatch::look() {
  std::vector<std::string> names;
  for (const auto& [name, group] : groups_) names.push_back(name);
  // Commits before ends: the other way round a busy group would seem ahead of the log.
  const auto committed = log_.committed(names);
  if (!committed) return committed.error();

  std::set<TopicPartition> wanted;
  const auto want = [&](const TopicPartition& source) {
    if (!is_asked(source.topic)) return;
    const auto& known = partitions_.at(source.topic);
    if (const auto at = known.find(source.partition); at != known.end() && at->second) wanted.insert(source);
  };
  for (const auto& offsets : *committed)
    for (const CommittedOffset& offset : offsets) want(offset.source);
  for (const auto& [name, group] : groups_) {
    for (const auto& [source, reader] : group.readers) want(source);
    for (const TopicPartition& source : group.description.unattended) want(source);
  }
  std::map<TopicPartition, PartitionEnds> ends;
  if (!wanted.empty()) {
    const auto read = log_.ends(std::vector<TopicPartition>(wanted.begin(), wanted.end()));
    if (!read) return read.error();
    for (const PartitionEnds& found : *read) ends[found.source] = found;
  }
  now_ = clock_.wall();
  for (std::size_t i = 0; i < names.size(); ++i) note(groups_[names[i]], (*committed)[i], ends);
  return {};
}

void LagWatch::note(WatchedGroup& group, const std::vector<CommittedOffset>& committed,
                    const std::map<TopicPartition, PartitionEnds>& ends) {
  std::map<TopicPartition, const CommittedOffset*> present;
  for (const CommittedOffset& offset : committed) present[offset.source] = &offset;
  for (const auto& [source, reader] : group.readers) present.try_emplace(source, nullptr);
  for (const TopicPartition& source : group.description.unattended) present.try_emplace(source, nullptr);
  std::erase_if(present, [&](const auto& entry) {
    const TopicPartition& source = entry.first;
    return !is_asked(source.topic) || !partitions_.at(source.topic).contains(source.partition);
  });
  std::erase_if(group.partitions, [&](const auto& entry) { return !present.contains(entry.first); });

  for (const auto& [source, offset] : present) {
    Seen& seen = group.partitions[source];
    const auto end = ends.find(source);
    seen.has_leader = end != ends.end();
    if (seen.has_leader) seen.ends = end->second;
    seen.committed = offset == nullptr ? std::nullopt : std::optional{offset->offset};
    seen.next_appended_at = offset == nullptr ? std::nullopt : offset->next_appended_at;
    if (!seen.has_leader) continue;
    // Where retention overtook the group, or nothing was committed, it reads from the start.
    const std::int64_t reads_from = std::max(seen.ends.start, seen.committed.value_or(seen.ends.start));
    remember(seen.samples, {.seen = now_,
                            .committed_at = offset == nullptr ? std::nullopt : offset->committed_at,
                            .committed = reads_from,
                            .end = seen.ends.end});
  }
}

PartitionLag LagWatch::judge_partition(const WatchedGroup& group, const TopicPartition& source,
                                       const Seen& seen) const {
  PartitionLag out{.partition = source.partition, .start = seen.ends.start, .committed = seen.committed};
  const auto reader = group.readers.find(source);
  if (reader != group.readers.end()) {
    out.member = reader->second.member;
    out.host = reader->second.host;
  }
  if (!seen.has_leader) {  // its ends cannot be read
    out.end = std::max(seen.ends.end, seen.committed.value_or(0));
    return out;
  }
  out.end = seen.ends.end;
  out.lag = lag_of(seen.ends.start, seen.committed, seen.ends.end);
  if (out.lag > 0 && seen.next_appended_at)
    out.time_lag = std::max<Duration>(Duration{0}, now_ - *seen.next_appended_at);
  const std::vector<LagSample> samples{seen.samples.begin(), seen.samples.end()};
  out.status = judge({.samples = samples,
                      .attended = reader != group.readers.end() || is_rebalancing(group.description),
                      .waiting = out.time_lag});
  return out;
}

std::optional<LagRates> LagWatch::rates_of(const WatchedGroup& group) const {
  LagRates rates;
  bool known = group.partitions.empty();
  for (const auto& [source, seen] : group.partitions) {
    if (seen.samples.size() < 2) continue;
    const LagSample& first = seen.samples.front();
    const LagSample& last = seen.samples.back();
    const double seconds = std::chrono::duration<double>{last.seen - first.seen}.count();
    if (seconds <= 0) continue;
    known = true;
    rates.in += static_cast<double>(std::max<std::int64_t>(0, last.end - first.end)) / seconds;
    rates.out += static_cast<double>(std::max<std::int64_t>(0, last.committed - first.committed)) / seconds;
  }
  return known ? std::optional{rates} : std::nullopt;
}

GroupLag LagWatch::judge_group(const WatchedGroup& group) const {
  GroupLag out{.group = group.description.name,
               .state = group.description.state,
               .members = static_cast<int>(group.description.members.size())};
  int partitions = 0;
  out.status = LagStatus::ok;
  for (const auto& [source, seen] : group.partitions) {
    if (out.topics.empty() || out.topics.back().topic != source.topic)
      out.topics.push_back({.topic = source.topic, .partitions = {}});
    TopicLag& topic = out.topics.back();
    topic.partitions.push_back(judge_partition(group, source, seen));
    topic.lag += topic.partitions.back().lag;
    out.lag += topic.partitions.back().lag;
    out.status = std::max(out.status, topic.partitions.back().status);
    ++partitions;
  }
  out.rates = rates_of(group);
  // A consumer that assigns its partitions itself is no member, but commits.
  const bool is_read =
      out.members > 0 || is_rebalancing(group.description) || (out.rates && out.rates->out > 0);
  if (out.status == LagStatus::ok && !is_read) out.status = LagStatus::empty;
  if (out.rates) out.eta = time_to_drain(out.lag, *out.rates);
  out.recommended_workers = recommended_workers({.lag = out.lag,
                                                 .threshold = question_.threshold,
                                                 .rates = out.rates,
                                                 .members = out.members,
                                                 .partitions = partitions});
  return out;
}

std::vector<GroupLag> LagWatch::report() const {
  std::vector<GroupLag> out;
  for (const auto& [name, group] : groups_) {
    GroupLag judged = judge_group(group);
    // With --topic, groups that do not read it are of no interest.
    if (!judged.topics.empty() || question_.topics.empty()) out.push_back(std::move(judged));
  }
  return out;
}

bool is_in_trouble(const GroupLag& group, std::int64_t threshold) {
  return group.lag > threshold || is_bad(group.status);
}

const PartitionLag* hot_partition(const TopicLag& topic) {
  constexpr std::int64_t kWorthSaying = 100;
  if (topic.partitions.size() < 2 || topic.lag < kWorthSaying) return nullptr;
  const auto most = std::max_element(topic.partitions.begin(), topic.partitions.end(),
                                     [](const auto& a, const auto& b) { return a.lag < b.lag; });
  const double share = static_cast<double>(most->lag) / static_cast<double>(topic.lag);
  // Three times its fair part, and at least half; of two or three partitions nearly all.
  const double fair = 1.0 / static_cast<double>(topic.partitions.size());
  return share >= std::max(0.5, std::min(0.9, 3 * fair)) ? &*most : nullptr;
}

std::vector<std::string> advice(const GroupLag& group, std::int64_t threshold) {
  std::vector<std::string> lines;
  int partitions = 0;
  for (const TopicLag& topic : group.topics) {
    partitions += static_cast<int>(topic.partitions.size());
    std::int64_t lost = 0;
    std::int64_t uncommitted = 0;
    for (const PartitionLag& partition : topic.partitions) {
      lost += partition.lost();
      if (!partition.committed) uncommitted += partition.lag;
    }
    if (lost > 0)
      lines.push_back("retention deleted " + std::to_string(lost) + " records of " + topic.topic +
                      " unread; lag counts from what is left");
    if (uncommitted > 0)
      lines.push_back(std::to_string(uncommitted) + " records of " + topic.topic +
                      " have no committed offset: counted from the start");
    if (const PartitionLag* hot = hot_partition(topic); hot != nullptr)
      lines.push_back("partition " + std::to_string(hot->partition) + " of " + topic.topic + " holds " +
                      std::to_string(hot->lag * 100 / topic.lag) +
                      " % of the lag: more workers do not help a hot key");
  }
  switch (group.status) {
    case LagStatus::stopped:
      lines.push_back(group.members == 0 ? "nobody reads: start its workers"
                                         : "commits stopped: look at the members' logs");
      break;
    case LagStatus::stalled: lines.push_back("members are there but do not move on: a poison record?"); break;
    case LagStatus::rewind:
      lines.push_back("the offset went back: a reset, or two groups of one name");
      break;
    case LagStatus::unknown: lines.push_back("too short to tell: use --watch, or --interval 10s"); break;
    case LagStatus::warning: lines.push_back("it falls behind: more comes in than goes out"); break;
    case LagStatus::ok:
    case LagStatus::empty: break;
  }
  if (group.members > partitions && partitions > 0)
    lines.push_back(std::to_string(group.members - partitions) + " members are idle: only " +
                    std::to_string(partitions) + " partitions");
  if (group.lag > threshold && group.recommended_workers > group.members && group.members > 0)
    lines.push_back(std::to_string(group.recommended_workers) + " workers would drain it (now " +
                    std::to_string(group.members) + ", at most " + std::to_string(partitions) + ")");
  return lines;
}

}  // namespace flux::inspect
