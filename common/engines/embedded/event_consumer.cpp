#include "common/engines/embedded/event_consumer.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "common/engines/embedded/consumer_group.hpp"
#include "common/engines/embedded/topic_file.hpp"

namespace flux::embedded {
namespace {

using namespace std::chrono_literals;

// A sleeping consumer looks for itself this often: a writer that was killed
// after its commit raised no signal.
constexpr Duration kLook = 100ms;

struct TopicSource {
  std::unique_ptr<TopicFile> file;
  std::size_t appended_word = 0;
};

struct AssignedPartition {
  TopicPartition source;
  TopicSource* topic = nullptr;
  std::int64_t next_offset = 0;
  bool paused = false;
  // At this count of appends there was nothing more to read, seen at that time.
  std::uint32_t drained_at = 0;
  SteadyTime drained_seen{};
};

class EmbeddedConsumer final : public EventConsumer {
 public:
  EmbeddedConsumer(std::unique_ptr<ConsumerGroupMember> member, std::map<std::string, TopicSource> topics,
                   std::shared_ptr<LogSignals> signals, const ConsumerOptions& options)
      : member_(std::move(member)),
        topics_(std::move(topics)),
        signals_(std::move(signals)),
        group_(options.group),
        listener_(options.listener) {}

  ~EmbeddedConsumer() override { (void)close(1s); }

  Result<std::vector<ConsumedRecord>> poll(std::size_t max, Duration wait) override {
    if (closed_) return Error{Errc::invalid_argument, "the consumer of group " + group_ + " is closed"};
    const SteadyTime deadline = std::chrono::steady_clock::now() + wait;
    for (;;) {
      const std::uint32_t activity = signals_->read(LogSignals::kActivity);
      if (member_->is_due()) {
        const auto synchronised = synchronise();
        if (!synchronised) return synchronised.error();
      }
      auto records = read(max);
      if (!records || !records->empty()) return records;
      const SteadyTime now = std::chrono::steady_clock::now();
      if (now >= deadline) return records;
      signals_->wait(LogSignals::kActivity, activity, std::min<Duration>(deadline - now, kLook));
    }
  }

  Result<> commit(const std::vector<std::pair<TopicPartition, std::int64_t>>& next_offsets) override {
    if (next_offsets.empty()) return {};
    return member_->commit(next_offsets);
  }

  Result<> pause(const std::vector<TopicPartition>& partitions) override {
    return set_paused(partitions, true);
  }
  Result<> resume(const std::vector<TopicPartition>& partitions) override {
    return set_paused(partitions, false);
  }

  std::vector<TopicPartition> assignment() const override {
    std::vector<TopicPartition> sources;
    for (const AssignedPartition& partition : assigned_) sources.push_back(partition.source);
    std::sort(sources.begin(), sources.end());
    return sources;
  }

  Result<> close(Duration timeout) override {
    if (closed_) return {};
    closed_ = true;
    const std::vector<TopicPartition> had = assignment();
    assigned_.clear();
    if (listener_ != nullptr && !had.empty()) listener_->revoked(had, false);
    return member_->leave(timeout);
  }

 private:
  Result<> synchronise() {
    std::vector<TopicPartition> released;
    do {
      const auto change = member_->synchronise(released);
      if (!change) return change.error();
      released.clear();
      if (change->lost) {
        const std::vector<TopicPartition> had = assignment();
        assigned_.clear();
        if (listener_ != nullptr && !had.empty()) listener_->revoked(had, true);
        continue;  // joins again
      }
      released = change->to_release;
      std::erase_if(assigned_, [&](const AssignedPartition& partition) {
        return std::find(released.begin(), released.end(), partition.source) != released.end();
      });
      if (listener_ != nullptr && !released.empty()) listener_->revoked(released, false);
      if (!change->gained.empty()) {
        const auto started = start(change->gained);
        if (!started) {
          (void)member_->give_back(change->gained);
          if (!released.empty()) (void)member_->give_back(released);
          return started;
        }
      }
    } while (!released.empty() || member_->is_due());
    return {};
  }

  Result<> start(const std::vector<TopicPartition>& gained) {
    std::vector<std::optional<std::int64_t>> offsets(gained.size());
    if (listener_ != nullptr) {
      auto said = listener_->assigned(gained);
      if (!said) return said.error();
      offsets = std::move(*said);
      offsets.resize(gained.size());
    }
    std::vector<AssignedPartition> started;
    for (std::size_t i = 0; i < gained.size(); ++i) {
      AssignedPartition partition{.source = gained[i], .topic = &topics_.at(gained[i].topic)};
      if (!offsets[i]) {
        const auto committed = member_->committed(gained[i]);
        if (!committed) return committed.error();
        offsets[i] = *committed;
      }
      partition.next_offset = offsets[i].value_or(0);
      const auto known = check_range(partition);
      if (!known) return known;
      started.push_back(std::move(partition));
    }
    assigned_.insert(assigned_.end(), std::make_move_iterator(started.begin()),
                     std::make_move_iterator(started.end()));
    return {};
  }

  // Waiting for a log that was lost to catch up would silently skip what comes.
  Result<> check_range(const AssignedPartition& partition) {
    const auto ranges = partition.topic->file->partitions();
    if (!ranges) return ranges.error();
    const auto index = static_cast<std::size_t>(partition.source.partition);
    const std::int64_t end = index < ranges->size() ? (*ranges)[index].next_offset : 0;
    if (partition.next_offset >= 0 && partition.next_offset <= end) return {};
    return Error{Errc::corrupted,
                 "group " + group_ + " is at offset " + std::to_string(partition.next_offset) + " of " +
                     partition.source.topic + "[" + std::to_string(partition.source.partition) +
                     "], but the log ends at " + std::to_string(end),
                 "the log is older than the ledger or was removed: restore both from one copy"};
  }

  Result<std::vector<ConsumedRecord>> read(std::size_t max) {
    std::vector<ConsumedRecord> records;
    const std::size_t count = assigned_.size();
    const SteadyTime now = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < count && records.size() < max; ++i) {
      AssignedPartition& partition = assigned_[(first_ + i) % count];
      if (partition.paused) continue;
      const std::uint32_t appended = signals_->read(partition.topic->appended_word);
      if (partition.drained_seen != SteadyTime{} && partition.drained_at == appended &&
          now - partition.drained_seen < kLook) {
        continue;
      }
      const std::size_t before = records.size();
      const auto done = partition.topic->file->read(partition.source.partition, partition.next_offset,
                                                    max - before, records);
      // What was read before the failure has moved on and must be delivered;
      // the failure comes back at the next poll.
      if (!done && records.empty()) return done.error();
      if (!done) break;
      if (records.size() < max) {
        partition.drained_at = appended;
        partition.drained_seen = now;
      }
    }
    if (count > 0) first_ = (first_ + 1) % count;  // every partition gets its turn to be first
    return records;
  }

  Result<> set_paused(const std::vector<TopicPartition>& partitions, bool paused) {
    for (const TopicPartition& source : partitions) {
      const auto found =
          std::find_if(assigned_.begin(), assigned_.end(),
                       [&](const AssignedPartition& assigned) { return assigned.source == source; });
      if (found == assigned_.end()) {
        return Error{Errc::fenced, source.topic + "[" + std::to_string(source.partition) +
                                       "] is not assigned to this consumer of group " + group_};
      }
      found->paused = paused;
    }
    return {};
  }

  std::unique_ptr<ConsumerGroupMember> member_;
  std::map<std::string, TopicSource> topics_;
  std::shared_ptr<LogSignals> signals_;
  std::string group_;
  RebalanceListener* listener_;
  std::vector<AssignedPartition> assigned_;
  std::size_t first_ = 0;
  bool closed_ = false;
};

}  // namespace

Result<std::unique_ptr<EventConsumer>> open_event_consumer(const std::string& log_directory,
                                                           std::shared_ptr<LogSignals> signals,
                                                           const ConsumerOptions& options,
                                                           const Clock& clock) {
  if (options.group.empty() || options.topics.empty()) {
    return Error{Errc::invalid_argument, "a consumer needs a group and at least one topic"};
  }
  auto catalog = open_catalog(log_directory, Synchronous::normal);
  if (!catalog) return catalog.error();
  std::map<std::string, TopicSource> topics;
  for (const std::string& topic : options.topics) {
    const auto found = find_topic(**catalog, topic);
    if (!found) return found.error();
    if (!*found) return no_such_topic(topic);
    auto file = TopicFile::open(log_directory, topic);
    if (!file) return file.error();
    topics.emplace(topic, TopicSource{std::move(*file), LogSignals::appended_word((*found)->id)});
  }
  auto member = ConsumerGroupMember::open(log_directory, signals, options, clock);
  if (!member) return member.error();
  return std::make_unique<EmbeddedConsumer>(std::move(*member), std::move(topics), std::move(signals),
                                            options);
}

}  // namespace flux::embedded
