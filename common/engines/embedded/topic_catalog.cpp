#include "common/engines/embedded/topic_catalog.hpp"

#include <algorithm>

namespace flux::embedded {
namespace {

constexpr const char* kSchema = R"sql(
CREATE TABLE IF NOT EXISTS topics(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL,
  created_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS groups(
  name TEXT PRIMARY KEY,
  generation INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members(
  group_name TEXT NOT NULL,
  member_id TEXT NOT NULL,
  name TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  is_static INTEGER NOT NULL,
  incarnation INTEGER NOT NULL,
  session_timeout_ms INTEGER NOT NULL,
  joined_ms INTEGER NOT NULL,
  seen_ms INTEGER NOT NULL,
  PRIMARY KEY(group_name, member_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subscriptions(
  group_name TEXT NOT NULL,
  member_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  PRIMARY KEY(group_name, member_id, topic)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS assignments(
  group_name TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  owner TEXT,
  target TEXT,
  PRIMARY KEY(group_name, topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commits(
  group_name TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  committed_ms INTEGER NOT NULL,
  PRIMARY KEY(group_name, topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pings(
  id INTEGER PRIMARY KEY,
  count INTEGER NOT NULL);
)sql";

bool is_topic_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

}  // namespace

Result<std::unique_ptr<SqliteDatabase>> open_catalog(const std::string& log_directory,
                                                     Synchronous synchronous) {
  auto catalog = SqliteDatabase::open(
      {.file = log_directory + "/catalog.db", .synchronous = synchronous, .checkpoint_pages = 1000});
  if (!catalog) return catalog.error();
  const auto created = (*catalog)->execute(kSchema);
  if (!created) return created.error();
  return catalog;
}

Result<std::optional<TopicEntry>> find_topic(SqliteDatabase& catalog, const std::string& topic) {
  auto rows = catalog.prepare("SELECT id, partitions FROM topics WHERE name = ?");
  if (!rows) return rows.error();
  rows->with(topic);
  const auto row = rows->step();
  if (!row) return row.error();
  if (!*row) return std::optional<TopicEntry>{};
  return std::optional<TopicEntry>{TopicEntry{rows->integer(0), static_cast<std::int32_t>(rows->integer(1))}};
}

Error no_such_topic(const std::string& topic) {
  return {Errc::not_found, "no topic " + topic + " in the event log", "create it with `flux topics create`"};
}

bool is_valid_topic(const std::string& topic) {
  return !topic.empty() && topic.size() <= 200 && topic != "." && topic != ".." &&
         std::all_of(topic.begin(), topic.end(), is_topic_character);
}

}  // namespace flux::embedded
