#include "common/engines/embedded/log_inspector.hpp"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <set>
#include <utility>

#include "common/engines/embedded/sqlite_database.hpp"
#include "common/engines/embedded/topic_catalog.hpp"
#include "common/engines/embedded/topic_file.hpp"

namespace flux::embedded {
namespace {

// A member that was seen later than now belongs to the time before the machine started anew.
constexpr std::int64_t kClockSlackMs = 1000;

Error no_log(const std::string& directory) {
  return {Errc::not_found, "no event log in " + directory,
          "start one with `flux up`, name its directory with --data, or choose Kafka with --engines"};
}

// A connection that changes nothing, to a file that is there.
Result<std::unique_ptr<SqliteDatabase>> open_to_read(const std::string& file) {
  std::error_code failed;
  if (!std::filesystem::exists(file, failed)) return no_log(std::filesystem::path{file}.parent_path());
  auto database = SqliteDatabase::open({.file = file, .synchronous = Synchronous::normal});
  if (!database) return database.error();
  if (auto set = (*database)->execute("PRAGMA query_only=ON"); !set) return set.error();
  return database;
}

// Calls `take` with each row.
template <class Take, class... T>
Result<> each_row(SqliteDatabase& database, std::string_view sql, Take take, const T&... values) {
  auto rows = database.prepare(sql);
  if (!rows) return rows.error();
  rows->with(values...);
  for (;;) {
    const auto row = rows->step();
    if (!row) return row.error();
    if (!*row) return {};
    take(*rows);
  }
}

TopicPartition source_at(const SqliteStatement& row, int column) {
  return {row.text(column), static_cast<std::int32_t>(row.integer(column + 1))};
}

class EmbeddedLogInspector final : public LogInspector {
 public:
  explicit EmbeddedLogInspector(EmbeddedOptions options)
      : options_(std::move(options)), directory_(options_.directory + "/log") {}

  Result<std::vector<std::string>> groups() override {
    const std::lock_guard lock{mutex_};
    std::vector<std::string> names;
    const auto read = from_catalog("SELECT name FROM groups UNION SELECT group_name FROM commits ORDER BY 1",
                                   [&](const SqliteStatement& row) { names.push_back(row.text(0)); });
    if (!read) return read.error();
    return names;
  }

  Result<std::vector<GroupDescription>> describe_groups(const std::vector<std::string>& names) override {
    const std::lock_guard lock{mutex_};
    std::vector<GroupDescription> out;
    for (const std::string& name : names) {
      auto described = describe(name);
      if (!described) return described.error();
      out.push_back(std::move(*described));
    }
    return out;
  }

  Result<std::vector<std::vector<CommittedOffset>>> committed(
      const std::vector<std::string>& groups) override {
    const std::lock_guard lock{mutex_};
    std::vector<std::vector<CommittedOffset>> out;
    for (const std::string& group : groups) {
      auto& offsets = out.emplace_back();
      const auto read = from_catalog(
          "SELECT topic, partition, next_offset, committed_ms FROM commits WHERE group_name = ? "
          "ORDER BY topic, partition",
          [&](const SqliteStatement& row) {
            offsets.push_back({.source = source_at(row, 0),
                               .offset = row.integer(2),
                               .metadata = {},
                               .committed_at = from_unix_ms(row.integer(3))});
          },
          group);
      if (!read) return read.error();
      for (CommittedOffset& offset : offsets) {
        const auto appended = appended_at(offset.source, offset.offset);
        if (!appended) return appended.error();
        offset.next_appended_at = *appended;
      }
    }
    return out;
  }

  Result<std::vector<PartitionEnds>> ends(const std::vector<TopicPartition>& partitions) override {
    const std::lock_guard lock{mutex_};
    std::map<TopicPartition, PartitionEnds> found;
    std::set<std::string> topics;
    for (const TopicPartition& source : partitions) topics.insert(source.topic);
    for (const std::string& topic : topics) {
      const auto file = topic_file(topic);
      if (!file) return file.error();
      const auto read =
          each_row(**file, "SELECT partition, start_offset, next_offset FROM partitions",
                   [&](const SqliteStatement& row) {
                     const TopicPartition source{topic, static_cast<std::int32_t>(row.integer(0))};
                     found[source] = {source, row.integer(1), row.integer(2)};
                   });
      if (!read) return read.error();
    }
    std::vector<PartitionEnds> out;
    for (const TopicPartition& source : partitions) {
      const auto at = found.find(source);
      if (at == found.end())
        return Error{Errc::not_found,
                     "topic " + source.topic + " has no partition " + std::to_string(source.partition)};
      out.push_back(at->second);
    }
    return out;
  }

  Result<std::vector<TopicDescription>> topics(const std::optional<std::string>& name) override {
    const std::lock_guard lock{mutex_};
    return described_topics(name);
  }

  Result<std::map<std::string, std::string>> topic_settings(const std::string& topic) override {
    const std::lock_guard lock{mutex_};
    const auto there = described_topics(topic);
    if (!there) return there.error();
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(options_.log.retention_age);
    return std::map<std::string, std::string>{
        {"cleanup.policy", "delete"},
        {"retention.ms", age.count() == 0 ? "-1" : std::to_string(age.count())},
        {"retention.bytes",
         options_.log.retention_bytes == 0 ? "-1" : std::to_string(options_.log.retention_bytes)},
        {"max.message.bytes", std::to_string(options_.log.max_record_bytes)}};
  }

  Result<> create_topic(const TopicSpec& topic) override {
    const std::lock_guard lock{mutex_};
    const auto there = described_topics(topic.name);
    if (there)
      return Error{Errc::already_exists,
                   "topic " + topic.name + " is there already, with " +
                       std::to_string(there->front().partitions.size()) + " partitions",
                   "to add partitions: flux topics expand"};
    if (there.error().code != Errc::not_found) return there.error();
    return ensure(topic);
  }

  Result<> expand_topic(const std::string& topic, std::int32_t partitions) override {
    const std::lock_guard lock{mutex_};
    const auto there = described_topics(topic);
    if (!there) return there.error();
    const std::size_t now = there->front().partitions.size();
    if (partitions <= static_cast<std::int32_t>(now))
      return Error{Errc::invalid_argument,
                   "topic " + topic + " has " + std::to_string(now) + " partitions already",
                   "partitions are only ever added: ask for more than that"};
    return ensure({.name = topic, .partitions = partitions});
  }

 private:
  Result<SqliteDatabase*> catalog() {
    if (!catalog_) {
      auto opened = open_to_read(directory_ + "/catalog.db");
      if (!opened) return opened.error();
      catalog_ = std::move(*opened);
    }
    return catalog_.get();
  }

  Result<SqliteDatabase*> topic_file(const std::string& topic) {
    auto& file = files_[topic];
    if (!file) {
      auto opened = open_to_read(directory_ + "/" + topic + ".topic.db");
      if (!opened) return opened.error().code == Errc::not_found ? no_such_topic(topic) : opened.error();
      file = std::move(*opened);
    }
    return file.get();
  }

  template <class Take, class... T>
  Result<> from_catalog(std::string_view sql, Take take, const T&... values) {
    const auto database = catalog();
    if (!database) return database.error();
    return each_row(**database, sql, std::move(take), values...);
  }

  Result<GroupDescription> describe(const std::string& name) {
    GroupDescription out{.name = name, .state = "Dead", .members = {}, .unattended = {}};
    auto read = from_catalog(
        "SELECT name FROM groups WHERE name = ?1 UNION SELECT group_name FROM commits WHERE group_name = ?1",
        [&](const SqliteStatement&) { out.state = "Empty"; }, name);
    if (!read) return read.error();
    const std::int64_t now =
        std::chrono::duration_cast<std::chrono::milliseconds>(options_.clock->steady().time_since_epoch())
            .count();
    read = from_catalog(
        "SELECT member_id, name, host FROM members WHERE group_name = ? AND seen_ms + session_timeout_ms >= "
        "? "
        "AND seen_ms <= ? ORDER BY member_id",
        [&](const SqliteStatement& row) {
          out.members.push_back(
              {.id = row.text(0), .client_id = row.text(1), .host = row.text(2), .assigned = {}});
        },
        name, now, now + kClockSlackMs);
    if (!read) return read.error();
    bool moving = false;
    read = from_catalog(
        "SELECT topic, partition, coalesce(owner, ''), owner IS target FROM assignments WHERE group_name = ? "
        "ORDER BY topic, partition",
        [&](const SqliteStatement& row) {
          moving = moving || row.integer(3) == 0;
          const auto owner = std::find_if(out.members.begin(), out.members.end(),
                                          [&](const auto& member) { return member.id == row.view(2); });
          (owner == out.members.end() ? out.unattended : owner->assigned).push_back(source_at(row, 0));
        },
        name);
    if (!read) return read.error();
    if (!out.members.empty()) out.state = moving ? "PreparingRebalance" : "Stable";
    return out;
  }

  // When the batch that holds the offset was appended; nullopt: nothing is there yet.
  Result<std::optional<WallTime>> appended_at(const TopicPartition& source, std::int64_t offset) {
    const auto file = topic_file(source.topic);
    if (!file && file.error().code == Errc::not_found) return std::optional<WallTime>{};
    if (!file) return file.error();
    const auto id = [&](std::int64_t partition, std::int64_t last) { return partition << 40 | last; };
    std::optional<WallTime> at;
    const auto read = each_row(
        **file, "SELECT appended_ms FROM batches WHERE id >= ? AND id < ? ORDER BY id LIMIT 1",
        [&](const SqliteStatement& row) { at = from_unix_ms(row.integer(0)); }, id(source.partition, offset),
        id(source.partition + 1, 0));
    if (!read) return read.error();
    return at;
  }

  // One machine, one copy: it leads and holds every partition, as broker 0.
  Result<std::vector<TopicDescription>> described_topics(const std::optional<std::string>& name) {
    std::vector<TopicDescription> out;
    const auto read = from_catalog(
        "SELECT name, partitions FROM topics WHERE ?1 IS NULL OR name = ?1 ORDER BY name",
        [&](const SqliteStatement& row) {
          auto& topic = out.emplace_back(TopicDescription{.name = row.text(0), .partitions = {}});
          for (std::int32_t id = 0; id < row.integer(1); ++id)
            topic.partitions.push_back({.id = id, .leader = 0, .replicas = {0}, .in_sync = {0}});
        },
        name);
    if (!read) return read.error();
    if (name && out.empty()) return no_such_topic(*name);
    return out;
  }

  Result<> ensure(const TopicSpec& topic) {
    const auto log = open_event_log(options_);
    if (!log) return log.error();
    return (*log)->ensure_topics({topic});
  }

  const EmbeddedOptions options_;
  const std::string directory_;
  std::mutex mutex_;
  std::unique_ptr<SqliteDatabase> catalog_;
  std::map<std::string, std::unique_ptr<SqliteDatabase>> files_;
};

}  // namespace

Result<std::unique_ptr<LogInspector>> open_log_inspector(const EmbeddedOptions& options) {
  std::error_code failed;
  if (!std::filesystem::exists(options.directory + "/log/catalog.db", failed))
    return no_log(options.directory);
  return std::make_unique<EmbeddedLogInspector>(options);
}

}  // namespace flux::embedded
