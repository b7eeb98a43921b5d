#include "tests/fakes/fake_event_log.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "common/engines/embedded/assign_partitions.hpp"
#include "common/ports/key_partition.hpp"

namespace flux::testing {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMaxRecordBytes = 1'000'000;

struct Place {
  std::string owner{};
  std::string target{};
};

struct Member {
  std::vector<std::string> topics;
  Duration session_timeout{};
  SteadyTime seen{};
};

struct Group {
  std::map<std::string, Member> members;
  std::map<TopicPartition, Place> places;
  std::map<TopicPartition, std::int64_t> commits;
};

using Topic = std::vector<std::vector<ConsumedRecord>>;  // by partition

struct AppendFault {
  Error error;
  bool is_stored = false;
};

}  // namespace

struct FakeLogState {
  explicit FakeLogState(const Clock& c) : clock(c) {}

  Topic* find(const std::string& topic) {
    const auto found = topics.find(topic);
    return found == topics.end() ? nullptr : &found->second;
  }

  // Puts the partitions of a group where they belong after something changed.
  void assign(Group& group) {
    std::vector<embedded::GroupMember> members;
    for (const auto& [id, member] : group.members) {
      members.push_back({id, member.topics});
      for (const std::string& topic : member.topics) {
        for (std::size_t p = 0; p < topics.at(topic).size(); ++p) {
          group.places.try_emplace({topic, static_cast<std::int32_t>(p)});
        }
      }
    }
    std::vector<embedded::PartitionPlace> places;
    for (const auto& [source, place] : group.places) {
      places.push_back({source, place.target.empty() ? place.owner : place.target});
    }
    embedded::assign_partitions(members, places);
    for (const auto& place : places) group.places[place.partition].target = place.member;
    changed.notify_all();
  }

  void remove_member(Group& group, const std::string& id) {
    group.members.erase(id);
    for (auto& [source, place] : group.places) {
      if (place.owner == id) place.owner.clear();
    }
    assign(group);
  }

  void remove_expired(Group& group) {
    const SteadyTime now = clock.steady();
    std::vector<std::string> expired;
    for (const auto& [id, member] : group.members) {
      if (member.seen + member.session_timeout < now) expired.push_back(id);
    }
    for (const std::string& id : expired) remove_member(group, id);
  }

  const Clock& clock;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, Topic> topics;
  std::map<std::string, Group> groups;
  std::deque<AppendFault> faults;
  std::optional<Error> broken;
  Duration delay{};
  std::uint64_t members_made = 0;
  std::uint64_t round_robin = 0;
};

namespace {

Error no_such_topic(const std::string& topic) {
  return {Errc::not_found, "no topic " + topic};
}

class FakeProducer final : public EventProducer {
 public:
  FakeProducer(std::shared_ptr<FakeLogState> state, asio::any_io_executor loop)
      : state_(std::move(state)), loop_(std::move(loop)) {}

  asio::awaitable<Result<RecordPosition>> append(Record record) override {
    Duration delay{};
    const Result<RecordPosition> result = store(std::move(record), delay);
    if (delay > Duration::zero()) {
      asio::steady_timer timer{loop_, delay};
      co_await timer.async_wait(asio::use_awaitable);
    } else {
      co_await asio::post(loop_, asio::use_awaitable);
    }
    co_return result;
  }

  Result<> flush(Duration) override { return {}; }  // what was appended is stored already

 private:
  Result<RecordPosition> store(Record record, Duration& delay) {
    const std::lock_guard lock{state_->mutex};
    delay = state_->delay;
    if (state_->broken) return *state_->broken;
    if (record.key.size() + record.value.size() > kMaxRecordBytes) {
      return Error{Errc::invalid_argument, "a record for topic " + record.topic + " is too large"};
    }
    Topic* topic = state_->find(record.topic);
    if (topic == nullptr) return no_such_topic(record.topic);
    std::optional<AppendFault> fault;
    if (!state_->faults.empty()) {
      fault = std::move(state_->faults.front());
      state_->faults.pop_front();
      if (!fault->is_stored) return fault->error;
    }
    const auto count = static_cast<std::int32_t>(topic->size());
    const std::int32_t partition = record.key.empty()
                                       ? static_cast<std::int32_t>(state_->round_robin++ % topic->size())
                                       : partition_of_key(record.key, count);
    auto& records = (*topic)[static_cast<std::size_t>(partition)];
    const auto offset = static_cast<std::int64_t>(records.size());
    records.push_back({{record.topic, partition},
                       offset,
                       std::move(record.key),
                       std::move(record.value),
                       std::move(record.headers),
                       state_->clock.wall()});
    state_->changed.notify_all();
    if (fault) return fault->error;
    return RecordPosition{partition, offset};
  }

  std::shared_ptr<FakeLogState> state_;
  asio::any_io_executor loop_;
};

class FakeConsumer final : public EventConsumer {
 public:
  FakeConsumer(std::shared_ptr<FakeLogState> state, ConsumerOptions options)
      : state_(std::move(state)), options_(std::move(options)) {}
  ~FakeConsumer() override { (void)close(Duration::zero()); }

  Result<std::vector<ConsumedRecord>> poll(std::size_t max, Duration wait) override {
    if (closed_) return Error{Errc::invalid_argument, "the consumer is closed"};
    const SteadyTime deadline = std::chrono::steady_clock::now() + wait;
    for (;;) {
      const auto synchronised = synchronise();
      if (!synchronised) return synchronised.error();
      std::unique_lock lock{state_->mutex};
      if (state_->broken) return *state_->broken;
      auto records = read(max);
      const SteadyTime now = std::chrono::steady_clock::now();
      if (!records.empty() || now >= deadline) return records;
      if (has_work()) continue;
      // Also looks by itself, as members expire by the clock.
      state_->changed.wait_for(lock, std::min<Duration>(deadline - now, std::chrono::milliseconds{20}));
    }
  }

  Result<> commit(const std::vector<std::pair<TopicPartition, std::int64_t>>& next_offsets) override {
    const std::lock_guard lock{state_->mutex};
    if (state_->broken) return *state_->broken;
    Group& group = state_->groups[options_.group];
    for (const auto& [source, offset] : next_offsets) {
      const auto place = group.places.find(source);
      if (id_.empty() || place == group.places.end() || place->second.owner != id_) {
        return Error{Errc::fenced,
                     source.topic + "[" + std::to_string(source.partition) + "] belongs to another member"};
      }
    }
    for (const auto& [source, offset] : next_offsets) group.commits[source] = offset;
    return {};
  }

  Result<> pause(const std::vector<TopicPartition>& partitions) override {
    return set_paused(partitions, true);
  }
  Result<> resume(const std::vector<TopicPartition>& partitions) override {
    return set_paused(partitions, false);
  }

  std::vector<TopicPartition> assignment() const override {
    std::vector<TopicPartition> sources;
    for (const auto& [source, position] : assigned_) sources.push_back(source);
    return sources;
  }

  Result<> close(Duration) override {
    if (closed_) return {};
    closed_ = true;
    tell_revoked(assignment(), false);
    const std::lock_guard lock{state_->mutex};
    Group& group = state_->groups[options_.group];
    if (group.members.contains(id_)) state_->remove_member(group, id_);
    return {};
  }

 private:
  struct Position {
    std::int64_t next_offset = 0;
    bool paused = false;
  };

  void tell_revoked(const std::vector<TopicPartition>& sources, bool lost) {
    for (const TopicPartition& source : sources) assigned_.erase(source);
    if (options_.listener != nullptr && !sources.empty()) options_.listener->revoked(sources, lost);
  }

  // The listener is called without the lock: it may use other ports or this log.
  Result<> synchronise() {
    bool lost = false;
    std::vector<TopicPartition> released;
    std::vector<TopicPartition> gained;
    {
      const std::lock_guard lock{state_->mutex};
      Group& group = state_->groups[options_.group];
      lost = !id_.empty() && !group.members.contains(id_);
      if (lost) id_.clear();
    }
    if (lost) tell_revoked(assignment(), true);
    {
      const std::lock_guard lock{state_->mutex};
      Group& group = join();
      for (const auto& [source, place] : group.places) {
        if (place.owner == id_ && place.target != id_) released.push_back(source);
      }
    }
    tell_revoked(released, false);
    {
      const std::lock_guard lock{state_->mutex};
      Group& group = state_->groups[options_.group];
      for (const TopicPartition& source : released) {
        Place& place = group.places[source];
        if (place.owner == id_) place.owner.clear();
      }
      if (!released.empty()) state_->changed.notify_all();
      for (auto& [source, place] : group.places) {
        if (place.target != id_ || !place.owner.empty()) continue;
        place.owner = id_;
        gained.push_back(source);
      }
    }
    return gained.empty() ? Result<>{} : start(gained);
  }

  Group& join() {
    Group& group = state_->groups[options_.group];
    state_->remove_expired(group);
    if (id_.empty()) id_ = options_.member_name + "-" + std::to_string(++state_->members_made);
    const auto [member, joined] =
        group.members.try_emplace(id_, Member{options_.topics, options_.session_timeout, {}});
    member->second.seen = state_->clock.steady();
    if (joined) state_->assign(group);
    return group;
  }

  Result<> start(const std::vector<TopicPartition>& gained) {
    std::vector<std::optional<std::int64_t>> offsets(gained.size());
    if (options_.listener != nullptr) {
      auto said = options_.listener->assigned(gained);
      if (!said) {
        const std::lock_guard lock{state_->mutex};
        for (const TopicPartition& source : gained)
          state_->groups[options_.group].places[source].owner.clear();
        return said.error();
      }
      offsets = std::move(*said);
      offsets.resize(gained.size());
    }
    const std::lock_guard lock{state_->mutex};
    const auto& commits = state_->groups[options_.group].commits;
    for (std::size_t i = 0; i < gained.size(); ++i) {
      const auto committed = commits.find(gained[i]);
      assigned_[gained[i]].next_offset =
          offsets[i].value_or(committed == commits.end() ? 0 : committed->second);
    }
    return {};
  }

  bool has_work() {
    Group& group = state_->groups[options_.group];
    if (!group.members.contains(id_)) return true;
    return std::any_of(group.places.begin(), group.places.end(), [&](const auto& entry) {
      const Place& place = entry.second;
      return (place.owner == id_) != (place.target == id_) && (place.owner.empty() || place.owner == id_);
    });
  }

  std::vector<ConsumedRecord> read(std::size_t max) {
    std::vector<ConsumedRecord> records;
    for (auto& [source, position] : assigned_) {
      if (position.paused) continue;
      const auto& stored = state_->topics.at(source.topic)[static_cast<std::size_t>(source.partition)];
      for (; records.size() < max && position.next_offset < static_cast<std::int64_t>(stored.size());
           ++position.next_offset) {
        records.push_back(stored[static_cast<std::size_t>(position.next_offset)]);
      }
    }
    return records;
  }

  Result<> set_paused(const std::vector<TopicPartition>& partitions, bool paused) {
    for (const TopicPartition& source : partitions) {
      const auto found = assigned_.find(source);
      if (found == assigned_.end())
        return Error{Errc::fenced, source.topic + " is not assigned to this consumer"};
      found->second.paused = paused;
    }
    return {};
  }

  std::shared_ptr<FakeLogState> state_;
  ConsumerOptions options_;
  std::string id_;
  std::map<TopicPartition, Position> assigned_;
  bool closed_ = false;
};

}  // namespace

FakeEventLog::FakeEventLog(const Clock& clock) : state_(std::make_shared<FakeLogState>(clock)) {}
FakeEventLog::FakeEventLog(std::shared_ptr<FakeLogState> state) : state_(std::move(state)) {}
FakeEventLog::~FakeEventLog() = default;

std::unique_ptr<EventLog> FakeEventLog::view() const {
  return std::unique_ptr<EventLog>{new FakeEventLog{state_}};
}

void FakeEventLog::fail_next_append(Error error) {
  const std::lock_guard lock{state_->mutex};
  state_->faults.push_back({std::move(error), false});
}

void FakeEventLog::fail_next_append_maybe(bool is_stored) {
  const std::lock_guard lock{state_->mutex};
  state_->faults.push_back({{Errc::maybe_persisted, "the acknowledgement was lost"}, is_stored});
}

void FakeEventLog::delay_acknowledgements(Duration by) {
  const std::lock_guard lock{state_->mutex};
  state_->delay = by;
}

void FakeEventLog::fail_everything(std::optional<Error> error) {
  const std::lock_guard lock{state_->mutex};
  state_->broken = std::move(error);
}

std::vector<ConsumedRecord> FakeEventLog::records(const std::string& topic) const {
  const std::lock_guard lock{state_->mutex};
  std::vector<ConsumedRecord> all;
  if (const Topic* found = state_->find(topic)) {
    for (const auto& partition : *found) all.insert(all.end(), partition.begin(), partition.end());
  }
  return all;
}

std::size_t FakeEventLog::record_count(const std::string& topic) const {
  return records(topic).size();
}

Result<std::unique_ptr<EventProducer>> FakeEventLog::producer(boost::asio::any_io_executor loop) {
  return std::make_unique<FakeProducer>(state_, std::move(loop));
}

Result<std::unique_ptr<EventConsumer>> FakeEventLog::consumer(const ConsumerOptions& options) {
  const std::lock_guard lock{state_->mutex};
  if (state_->broken) return *state_->broken;
  if (options.group.empty() || options.topics.empty()) {
    return Error{Errc::invalid_argument, "a consumer needs a group and at least one topic"};
  }
  for (const std::string& topic : options.topics) {
    if (state_->find(topic) == nullptr) return no_such_topic(topic);
  }
  return std::make_unique<FakeConsumer>(state_, options);
}

Result<> FakeEventLog::ensure_topics(const std::vector<TopicSpec>& topics) {
  const std::lock_guard lock{state_->mutex};
  if (state_->broken) return *state_->broken;
  for (const TopicSpec& spec : topics) {
    Topic& topic = state_->topics[spec.name];
    if (topic.size() < static_cast<std::size_t>(spec.partitions)) {
      topic.resize(static_cast<std::size_t>(spec.partitions));
    }
  }
  for (auto& [name, group] : state_->groups) state_->assign(group);
  return {};
}

Result<std::int32_t> FakeEventLog::partition_count(const std::string& topic) {
  const auto ends = end_offsets(topic);
  if (!ends) return ends.error();
  return static_cast<std::int32_t>(ends->size());
}

Result<std::vector<std::int64_t>> FakeEventLog::end_offsets(const std::string& topic) {
  const std::lock_guard lock{state_->mutex};
  if (state_->broken) return *state_->broken;
  const Topic* found = state_->find(topic);
  if (found == nullptr) return no_such_topic(topic);
  std::vector<std::int64_t> ends;
  for (const auto& partition : *found) ends.push_back(static_cast<std::int64_t>(partition.size()));
  return ends;
}

Result<std::vector<std::optional<std::int64_t>>> FakeEventLog::committed_offsets(const std::string& group,
                                                                                 const std::string& topic) {
  const std::lock_guard lock{state_->mutex};
  if (state_->broken) return *state_->broken;
  const Topic* found = state_->find(topic);
  if (found == nullptr) return no_such_topic(topic);
  std::vector<std::optional<std::int64_t>> offsets(found->size());
  for (const auto& [source, offset] : state_->groups[group].commits) {
    if (source.topic == topic) offsets[static_cast<std::size_t>(source.partition)] = offset;
  }
  return offsets;
}

Result<> FakeEventLog::ping(Duration) {
  const std::lock_guard lock{state_->mutex};
  if (state_->broken) return *state_->broken;
  return {};
}

}  // namespace flux::testing
