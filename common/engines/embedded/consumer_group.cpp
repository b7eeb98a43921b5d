#include "common/engines/embedded/consumer_group.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/core/ids.hpp"

namespace flux::embedded {
namespace {

constexpr Duration kTimeout = std::chrono::seconds{5};

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

}  // namespace

ConsumerGroupMember::ConsumerGroupMember(std::unique_ptr<SqliteDatabase> catalog, TurnLock turn,
                                         std::shared_ptr<LogSignals> signals, const ConsumerOptions& options,
                                         const Clock& clock)
    : catalog_(std::move(catalog)),
      turn_(std::move(turn)),
      signals_(std::move(signals)),
      clock_(clock),
      group_(options.group),
      topics_(options.topics),
      name_(options.member_name.empty() ? host_name() + "-" + std::to_string(::getpid())
                                        : options.member_name),
      is_static_(options.is_static),
      session_timeout_(options.session_timeout) {}

Result<std::unique_ptr<ConsumerGroupMember>> ConsumerGroupMember::open(const std::string& log_directory,
                                                                       std::shared_ptr<LogSignals> signals,
                                                                       const ConsumerOptions& options,
                                                                       const Clock& clock) {
  auto catalog = open_catalog(log_directory, Synchronous::normal);
  if (!catalog) return catalog.error();
  auto turn = TurnLock::open(signals, LogSignals::kCatalogLock);
  if (!turn) return turn.error();
  for (const std::string& topic : options.topics) {
    const auto found = find_topic(**catalog, topic);
    if (!found) return found.error();
    if (!*found) return no_such_topic(topic);
  }
  return std::unique_ptr<ConsumerGroupMember>{
      new ConsumerGroupMember{std::move(*catalog), std::move(*turn), std::move(signals), options, clock}};
}

std::int64_t ConsumerGroupMember::monotonic_ms() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock_.steady().time_since_epoch()).count();
}

bool ConsumerGroupMember::is_due() const {
  return due_ || !joined_ || signals_->read(LogSignals::kGroups) != seen_changes_ ||
         clock_.steady() - last_heartbeat_ >= session_timeout_ / 3;
}

void ConsumerGroupMember::tell_others() {
  signals_->raise(LogSignals::kGroups);
  signals_->raise(LogSignals::kActivity);
}

Result<bool> ConsumerGroupMember::is_still_member() {
  auto rows = catalog_->prepare("SELECT incarnation FROM members WHERE group_name = ? AND member_id = ?");
  if (!rows) return rows.error();
  rows->with(group_, member_id_);
  const auto row = rows->step();
  if (!row) return row.error();
  return *row && rows->integer(0) == incarnation_;
}

Result<> ConsumerGroupMember::join() {
  // A new life is a new member; a static one takes over the place of its name,
  // and fences whoever still believes to be it.
  member_id_ = is_static_ ? name_ : name_ + "-" + new_uuid().to_string();
  auto joined = catalog_->prepare(
      "INSERT INTO members(group_name, member_id, name, host, pid, is_static, incarnation, "
      "session_timeout_ms, "
      "joined_ms, seen_ms) VALUES(?,?,?,?,?,?,1,?,?,?) ON CONFLICT DO UPDATE SET host = excluded.host, "
      "pid = excluded.pid, incarnation = incarnation + 1, session_timeout_ms = excluded.session_timeout_ms, "
      "joined_ms = excluded.joined_ms, seen_ms = excluded.seen_ms RETURNING incarnation");
  if (!joined) return joined.error();
  const auto timeout_ms = std::chrono::duration_cast<std::chrono::milliseconds>(session_timeout_).count();
  joined->with(group_, member_id_, name_, host_name(), static_cast<std::int64_t>(::getpid()),
               std::int64_t{is_static_}, std::int64_t{timeout_ms}, unix_ms(clock_.wall()), monotonic_ms());
  const auto row = joined->step();
  if (!row) return row.error();
  incarnation_ = joined->integer(0);
  joined->reset();
  auto done =
      catalog_->run("DELETE FROM subscriptions WHERE group_name = ? AND member_id = ?", group_, member_id_);
  if (!done) return done;
  for (const std::string& topic : topics_) {
    done = catalog_->run("INSERT OR IGNORE INTO subscriptions VALUES(?,?,?)", group_, member_id_, topic);
    if (!done) return done;
  }
  // A static member starts afresh: it gains again what its former life had.
  return catalog_->run("UPDATE assignments SET owner = NULL WHERE group_name = ? AND owner = ?", group_,
                       member_id_);
}

Result<> ConsumerGroupMember::remove_member(const std::string& member_id) {
  auto done = catalog_->run("DELETE FROM members WHERE group_name = ? AND member_id = ?", group_, member_id);
  if (!done) return done;
  done = catalog_->run("DELETE FROM subscriptions WHERE group_name = ? AND member_id = ?", group_, member_id);
  if (!done) return done;
  return catalog_->run("UPDATE assignments SET owner = NULL WHERE group_name = ? AND owner = ?", group_,
                       member_id);
}

Result<bool> ConsumerGroupMember::remove_expired() {
  const std::int64_t now = monotonic_ms();
  // Seen in the future: that was before the machine started anew.
  auto rows = catalog_->prepare(
      "SELECT member_id FROM members WHERE group_name = ? AND (seen_ms + session_timeout_ms < ? OR seen_ms > "
      "?)");
  if (!rows) return rows.error();
  rows->with(group_, now, now + 1000);
  std::vector<std::string> expired;
  for (;;) {
    const auto row = rows->step();
    if (!row) return row.error();
    if (!*row) break;
    expired.push_back(rows->text(0));
  }
  for (const std::string& member : expired) {
    const auto removed = remove_member(member);
    if (!removed) return removed.error();
  }
  return !expired.empty();
}

Result<bool> ConsumerGroupMember::add_new_partitions() {
  auto rows = catalog_->prepare(
      "SELECT t.name, t.partitions, (SELECT count(*) FROM assignments a WHERE a.group_name = ?1 AND a.topic "
      "= t.name) "
      "FROM topics t WHERE t.name IN (SELECT topic FROM subscriptions WHERE group_name = ?1)");
  if (!rows) return rows.error();
  rows->with(group_);
  bool added = false;
  for (;;) {
    const auto row = rows->step();
    if (!row) return row.error();
    if (!*row) return added;
    for (std::int64_t partition = rows->integer(2); partition < rows->integer(1); ++partition) {
      const auto done = catalog_->run("INSERT INTO assignments(group_name, topic, partition) VALUES(?,?,?)",
                                      group_, rows->view(0), partition);
      if (!done) return done.error();
      added = true;
    }
  }
}

Result<std::vector<GroupMember>> ConsumerGroupMember::members() {
  auto rows =
      catalog_->prepare("SELECT member_id, topic FROM subscriptions WHERE group_name = ? ORDER BY member_id");
  if (!rows) return rows.error();
  rows->with(group_);
  std::vector<GroupMember> found;
  for (;;) {
    const auto row = rows->step();
    if (!row) return row.error();
    if (!*row) return found;
    if (found.empty() || found.back().id != rows->view(0)) found.push_back({rows->text(0), {}});
    found.back().topics.push_back(rows->text(1));
  }
}

Result<> ConsumerGroupMember::assign() {
  const auto present = members();
  if (!present) return present.error();
  std::vector<PartitionPlace> places;
  {
    auto rows = catalog_->prepare(
        "SELECT topic, partition, coalesce(target, owner, '') FROM assignments "
        "WHERE group_name = ?");
    if (!rows) return rows.error();
    rows->with(group_);
    for (;;) {
      const auto row = rows->step();
      if (!row) return row.error();
      if (!*row) break;
      places.push_back({{rows->text(0), static_cast<std::int32_t>(rows->integer(1))}, rows->text(2)});
    }
  }
  assign_partitions(*present, places);
  for (const PartitionPlace& place : places) {
    const auto done = catalog_->run(
        "UPDATE assignments SET target = nullif(?, '') WHERE group_name = ? AND topic = ? AND partition = ?",
        place.member, group_, place.partition.topic, place.partition.partition);
    if (!done) return done;
  }
  return catalog_->run(
      "INSERT INTO groups VALUES(?, 1) ON CONFLICT DO UPDATE SET generation = generation + 1", group_);
}

Result<> ConsumerGroupMember::let_go(const std::vector<TopicPartition>& partitions) {
  for (const TopicPartition& source : partitions) {
    const auto done = catalog_->run(
        "UPDATE assignments SET owner = NULL WHERE group_name = ? AND topic = ? AND partition = ? AND owner "
        "= ?",
        group_, source.topic, source.partition, member_id_);
    if (!done) return done;
  }
  return {};
}

Result<> ConsumerGroupMember::take_assigned(GroupChange& change) {
  auto rows = catalog_->prepare(
      "SELECT topic, partition, owner IS NULL FROM assignments WHERE group_name = ?1 AND "
      "((target = ?2 AND owner IS NULL) OR (owner = ?2 AND target IS NOT ?2)) ORDER BY topic, partition");
  if (!rows) return rows.error();
  rows->with(group_, member_id_);
  for (;;) {
    const auto row = rows->step();
    if (!row) return row.error();
    if (!*row) break;
    TopicPartition source{rows->text(0), static_cast<std::int32_t>(rows->integer(1))};
    (rows->integer(2) != 0 ? change.gained : change.to_release).push_back(std::move(source));
  }
  for (const TopicPartition& source : change.gained) {
    const auto done =
        catalog_->run("UPDATE assignments SET owner = ? WHERE group_name = ? AND topic = ? AND partition = ?",
                      member_id_, group_, source.topic, source.partition);
    if (!done) return done;
  }
  return {};
}

Result<> ConsumerGroupMember::synchronise_in_transaction(const std::vector<TopicPartition>& released,
                                                         GroupChange& change, bool& others_concerned) {
  bool changed = false;
  if (joined_) {
    const auto still = is_still_member();
    if (!still) return still.error();
    if (!*still) {
      change.lost = true;
      return {};
    }
    auto done = catalog_->run("UPDATE members SET seen_ms = ? WHERE group_name = ? AND member_id = ?",
                              monotonic_ms(), group_, member_id_);
    if (!done) return done;
    done = let_go(released);
    if (!done) return done;
  } else {
    const auto joined = join();
    if (!joined) return joined;
    changed = true;
  }
  const auto expired = remove_expired();
  if (!expired) return expired.error();
  const auto grown = add_new_partitions();
  if (!grown) return grown.error();
  changed = changed || *expired || *grown;
  if (changed) {
    const auto assigned = assign();
    if (!assigned) return assigned;
  }
  others_concerned = changed || !released.empty();
  return take_assigned(change);
}

Result<GroupChange> ConsumerGroupMember::synchronise(const std::vector<TopicPartition>& released) {
  GroupChange change;
  bool others_concerned = false;
  const std::uint32_t changes = signals_->read(LogSignals::kGroups);
  const SteadyTime now = clock_.steady();
  const auto done = in_turn(*catalog_, turn_, kTimeout,
                            [&] { return synchronise_in_transaction(released, change, others_concerned); });
  if (!done) return done.error();
  joined_ = !change.lost;
  last_heartbeat_ = now;
  seen_changes_ = changes;
  due_ = change.lost;
  if (others_concerned) {
    tell_others();
    // One's own signal is no news, unless somebody else's came in between.
    if (signals_->read(LogSignals::kGroups) == changes + 1) seen_changes_ = changes + 1;
  }
  return change;
}

Result<> ConsumerGroupMember::give_back(const std::vector<TopicPartition>& partitions) {
  due_ = true;
  return in_turn(*catalog_, turn_, kTimeout, [&] { return let_go(partitions); });
}

Result<> ConsumerGroupMember::commit(
    const std::vector<std::pair<TopicPartition, std::int64_t>>& next_offsets) {
  const std::int64_t now = unix_ms(clock_.wall());
  return in_turn(*catalog_, turn_, kTimeout, [&]() -> Result<> {
    const auto still = is_still_member();
    if (!still) return still.error();
    for (const auto& [source, next_offset] : next_offsets) {
      const auto done = catalog_->run(
          "INSERT INTO commits SELECT group_name, topic, partition, ?1, ?2 FROM assignments WHERE group_name "
          "= ?3 AND "
          "topic = ?4 AND partition = ?5 AND owner = ?6 "
          "ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset, committed_ms = "
          "excluded.committed_ms",
          next_offset, now, group_, source.topic, source.partition, member_id_);
      if (!done) return done;
      if (!*still || catalog_->changes() == 0) {
        return Error{Errc::fenced, "group " + group_ + ": " + source.topic + "[" +
                                       std::to_string(source.partition) +
                                       "] belongs to another member; nothing is committed"};
      }
    }
    return {};
  });
}

Result<std::optional<std::int64_t>> ConsumerGroupMember::committed(const TopicPartition& source) {
  auto rows = catalog_->prepare(
      "SELECT next_offset FROM commits WHERE group_name = ? AND topic = ? AND partition = ?");
  if (!rows) return rows.error();
  rows->with(group_, source.topic, source.partition);
  const auto row = rows->step();
  if (!row) return row.error();
  return *row ? std::optional{rows->integer(0)} : std::nullopt;
}

Result<> ConsumerGroupMember::leave(Duration timeout) {
  if (!joined_) return {};
  joined_ = false;
  if (is_static_) return {};
  const auto left = in_turn(*catalog_, turn_, timeout, [&]() -> Result<> {
    const auto still = is_still_member();
    if (!still) return still.error();
    if (!*still) return {};
    const auto removed = remove_member(member_id_);
    if (!removed) return removed;
    return assign();
  });
  tell_others();
  return left;
}

}  // namespace flux::embedded
