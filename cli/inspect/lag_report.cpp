#include "cli/inspect/lag_report.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>

#include "common/core/units.hpp"

namespace flux::inspect {
namespace {

namespace json = boost::json;

constexpr std::size_t kColumns = 80;
constexpr std::size_t kShownPartitions = 20;

double seconds(Duration d) {
  return std::chrono::duration<double>{d}.count();
}

json::object partition_json(const PartitionLag& partition) {
  json::object out;
  out["partition"] = partition.partition;
  out["start"] = partition.start;
  if (partition.committed)
    out["committed"] = *partition.committed;
  else
    out["committed"] = nullptr;
  out["end"] = partition.end;
  out["lag"] = partition.lag;
  if (partition.time_lag) out["time_lag_s"] = seconds(*partition.time_lag);
  if (!partition.member.empty()) out["member"] = partition.member;
  if (!partition.host.empty()) out["host"] = partition.host;
  out["status"] = to_string(partition.status);
  return out;
}

json::object group_json(const GroupLag& group) {
  json::array topics;
  for (const TopicLag& topic : group.topics) {
    json::array partitions;
    for (const PartitionLag& partition : topic.partitions) partitions.push_back(partition_json(partition));
    json::object entry;
    entry["topic"] = topic.topic;
    entry["partitions"] = std::move(partitions);
    entry["lag"] = topic.lag;
    topics.push_back(std::move(entry));
  }
  json::object out;
  out["group"] = group.group;
  out["state"] = group.state;
  out["status"] = to_string(group.status);
  out["members"] = group.members;
  out["lag"] = group.lag;
  out["rate_in"] = group.rates ? json::value(group.rates->in) : json::value(nullptr);
  out["rate_out"] = group.rates ? json::value(group.rates->out) : json::value(nullptr);
  out["eta_s"] = group.eta ? json::value(seconds(*group.eta)) : json::value(nullptr);
  out["recommended_workers"] = group.recommended_workers;
  out["topics"] = std::move(topics);
  return out;
}

// Cut at a character, not within one.
std::string cut(std::string text, std::size_t width) {
  std::size_t columns = 0;
  std::size_t fits = 0;  // bytes of the first width - 1 characters
  for (std::size_t at = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;
    if (columns == width - 1) fits = at;
    ++columns;
  }
  if (columns <= width) return text;
  return text.substr(0, fits) + "…";
}

// Members of one group differ in how their names end.
std::string ending(const std::string& name, std::size_t width) {
  if (name.size() <= width) return name;
  std::size_t at = name.size() - width + 1;
  while (at < name.size() && (static_cast<unsigned char>(name[at]) & 0xC0) == 0x80) ++at;
  return "…" + name.substr(at);
}

class LagPage {
 public:
  explicit LagPage(const LagTextOptions& options) : options_(options) {}

  void add(const GroupLag& group) {
    if (!text_.empty()) text_ += '\n';
    text_ += cut(group.group, 36) + "  " + painted(group.status, std::string(to_string(group.status))) + "  ";
    text_ += cut(group.state, 20) + ", " + std::to_string(group.members) +
             (group.members == 1 ? " member\n" : " members\n");
    const std::string lag = std::to_string(group.lag);
    text_ += "  lag " + (group.lag > options_.threshold ? painted(LagStatus::stopped, lag) : lag);
    if (group.rates)
      text_ += ", in " + format_count(group.rates->in) + "/s, out " + format_count(group.rates->out) + "/s";
    if (group.rates && group.lag > 0)
      text_ += group.eta ? ", drained in " + format_duration(*group.eta) : ", never drained at this pace";
    text_ += '\n';
    for (const std::string& advised : advice(group, options_.threshold))
      text_ += "  → " + cut(advised, kColumns - 4) + "\n";
    for (const TopicLag& topic : group.topics) add(topic);
  }

  std::string take() { return std::move(text_); }

 private:
  std::string painted(LagStatus status, const std::string& text) const {
    if (!options_.color) return text;
    const char* paint = status == LagStatus::ok        ? "\033[32m"
                        : status == LagStatus::warning ? "\033[33m"
                        : is_bad(status)               ? "\033[31m"
                                                       : "\033[2m";
    return paint + text + "\033[0m";
  }

  void add(const TopicLag& topic) {
    std::vector<const PartitionLag*> shown;
    for (const PartitionLag& partition : topic.partitions) shown.push_back(&partition);
    const bool is_wide = !options_.all_partitions && shown.size() > kShownPartitions;
    if (is_wide) {
      std::stable_sort(shown.begin(), shown.end(), [](const PartitionLag* a, const PartitionLag* b) {
        return a->status != b->status ? a->status > b->status : a->lag > b->lag;
      });
      shown.resize(kShownPartitions);
    }
    char line[200];
    std::snprintf(line, sizeof line, "  %s  lag %lld\n", cut(topic.topic, 54).c_str(),
                  static_cast<long long>(topic.lag));
    text_ += line;
    std::snprintf(line, sizeof line, "  %5s %12s %12s %12s %6s  %-8s %s\n", "PART", "COMMITTED", "END", "LAG",
                  "AGE", "STATUS", "MEMBER");
    text_ += line;
    std::int64_t hidden = topic.lag;
    for (const PartitionLag* partition : shown) {
      add(*partition);
      hidden -= partition->lag;
    }
    if (!is_wide) return;
    std::snprintf(line, sizeof line, "  … %zu more partitions with lag %lld; -v shows all\n",
                  topic.partitions.size() - shown.size(), static_cast<long long>(hidden));
    text_ += line;
  }

  void add(const PartitionLag& partition) {
    char line[200];
    std::snprintf(line, sizeof line, "  %5d %12s %12lld %12lld %6s  ", partition.partition,
                  partition.committed ? std::to_string(*partition.committed).c_str() : "-",
                  static_cast<long long>(partition.end), static_cast<long long>(partition.lag),
                  partition.time_lag ? format_duration(*partition.time_lag).c_str() : "-");
    text_ += line;
    std::snprintf(line, sizeof line, "%-8s", std::string(to_string(partition.status)).c_str());
    text_ += painted(partition.status, line);
    text_ += " " + (partition.member.empty() ? std::string("-") : ending(partition.member, 16)) + "\n";
  }

  const LagTextOptions& options_;
  std::string text_;
};

}  // namespace

std::string lag_json(const std::vector<GroupLag>& groups) {
  json::array out;
  for (const GroupLag& group : groups) out.push_back(group_json(group));
  return json::serialize(json::object{{"groups", std::move(out)}});
}

std::string lag_text(const std::vector<GroupLag>& groups, const LagTextOptions& options) {
  if (groups.empty()) return "no consumer group reads here\n";
  LagPage page{options};
  for (const GroupLag& group : groups) page.add(group);
  return page.take();
}

}  // namespace flux::inspect
