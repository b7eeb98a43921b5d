// The embedded event log: the files of <directory>/log/, put together.

#include <boost/asio/any_io_executor.hpp>
#include <map>
#include <mutex>
#include <utility>

#include "common/engines/embedded/append_queue.hpp"
#include "common/engines/embedded/embedded_engines.hpp"
#include "common/engines/embedded/event_consumer.hpp"
#include "common/engines/embedded/event_producer.hpp"
#include "common/engines/embedded/log_signals.hpp"
#include "common/engines/embedded/topic_catalog.hpp"
#include "common/engines/embedded/topic_file.hpp"

namespace flux::embedded {
namespace {

// What the log and its producers share. Thread-safe.
class OpenLog {
 public:
  OpenLog(EmbeddedOptions options, std::string directory, std::shared_ptr<LogSignals> signals,
          std::unique_ptr<SqliteDatabase> catalog, TurnLock turn)
      : options_(std::move(options)),
        directory_(std::move(directory)),
        signals_(std::move(signals)),
        catalog_(std::move(catalog)),
        turn_(std::move(turn)) {}

  const EmbeddedOptions& options() const { return options_; }
  const std::string& directory() const { return directory_; }
  const std::shared_ptr<LogSignals>& signals() const { return signals_; }

  Result<AppendTarget> append_target(const std::string& topic) {
    const std::lock_guard lock{mutex_};
    const auto entry = topic_entry(topic);
    if (!entry) return entry.error();
    auto& queue = queues_[topic];
    if (!queue) queue = std::make_shared<AppendQueue>(options_, directory_, topic, entry->id, signals_);
    return AppendTarget{queue, entry->partitions};
  }

  Result<> ensure_topics(const std::vector<TopicSpec>& specs) {
    const std::lock_guard lock{mutex_};
    for (const TopicSpec& spec : specs) {
      if (!is_valid_topic(spec.name) || spec.partitions < 1 || spec.partitions > kMaxPartitions) {
        return Error{Errc::invalid_argument,
                     "topic \"" + spec.name + "\" with " + std::to_string(spec.partitions) + " partitions",
                     "use letters, digits, '.', '_' or '-', and 1 to " + std::to_string(kMaxPartitions) +
                         " partitions"};
      }
      const auto present = find_topic(*catalog_, spec.name);
      if (!present) return present.error();
      if (*present && (*present)->partitions >= spec.partitions) continue;
      const auto created = create_topic(spec);
      if (!created) return created;
    }
    return {};
  }

  Result<std::int32_t> partition_count(const std::string& topic) {
    const std::lock_guard lock{mutex_};
    const auto entry = topic_entry(topic);
    if (!entry) return entry.error();
    return entry->partitions;
  }

  Result<std::vector<std::int64_t>> end_offsets(const std::string& topic) {
    const std::lock_guard lock{mutex_};
    const auto entry = topic_entry(topic);
    if (!entry) return entry.error();
    auto& file = files_[topic];
    if (!file) {
      auto opened = TopicFile::open(directory_, topic);
      if (!opened) return opened.error();
      file = std::move(*opened);
    }
    const auto ranges = file->partitions();
    if (!ranges) {
      file.reset();
      return ranges.error();
    }
    std::vector<std::int64_t> ends;
    for (const PartitionRange& range : *ranges) ends.push_back(range.next_offset);
    return ends;
  }

  Result<std::vector<std::optional<std::int64_t>>> committed_offsets(const std::string& group,
                                                                     const std::string& topic) {
    const std::lock_guard lock{mutex_};
    const auto entry = topic_entry(topic);
    if (!entry) return entry.error();
    auto rows =
        catalog_->prepare("SELECT partition, next_offset FROM commits WHERE group_name = ? AND topic = ?");
    if (!rows) return rows.error();
    rows->with(group, topic);
    std::vector<std::optional<std::int64_t>> offsets(static_cast<std::size_t>(entry->partitions));
    for (;;) {
      const auto row = rows->step();
      if (!row) return row.error();
      if (!*row) return offsets;
      const auto partition = static_cast<std::size_t>(rows->integer(0));
      if (partition < offsets.size()) offsets[partition] = rows->integer(1);
    }
  }

  Result<> ping(Duration timeout) {
    const std::lock_guard lock{mutex_};
    return in_turn(*catalog_, turn_, timeout, [&] {
      return catalog_->run("INSERT INTO pings VALUES(1, 1) ON CONFLICT DO UPDATE SET count = count + 1");
    });
  }

 private:
  static constexpr std::int32_t kMaxPartitions = 10'000;

  Result<TopicEntry> topic_entry(const std::string& topic) {
    const auto found = find_topic(*catalog_, topic);
    if (!found) return found.error();
    if (!*found) return no_such_topic(topic);
    return **found;
  }

  Result<> create_topic(const TopicSpec& spec) {
    auto file = TopicFile::open(directory_, spec.name);
    if (!file) return file.error();
    // The file may know more than a catalog that lost its last moments with the power.
    const auto partitions = (*file)->ensure_partitions(spec.partitions);
    if (!partitions) return partitions.error();
    const auto written = in_turn(*catalog_, turn_, options_.log.delivery_timeout, [&]() -> Result<> {
      const auto done = catalog_->run(
          "INSERT INTO topics(name, partitions, created_ms) VALUES(?,?,?) "
          "ON CONFLICT DO UPDATE SET partitions = max(partitions, excluded.partitions)",
          spec.name, *partitions, unix_ms(options_.clock->wall()));
      if (!done) return done;
      const auto entry = topic_entry(spec.name);
      if (!entry) return entry.error();
      if (entry->id <= LogSignals::kMaxTopics) return {};
      return Error{Errc::exhausted, "the embedded event log holds at most " +
                                        std::to_string(LogSignals::kMaxTopics) + " topics"};
    });
    if (!written) return written;
    signals_->raise(LogSignals::kGroups);
    signals_->raise(LogSignals::kActivity);
    return {};
  }

  const EmbeddedOptions options_;
  const std::string directory_;
  const std::shared_ptr<LogSignals> signals_;

  std::mutex mutex_;
  std::unique_ptr<SqliteDatabase> catalog_;
  TurnLock turn_;
  std::map<std::string, std::unique_ptr<TopicFile>> files_;
  std::map<std::string, std::shared_ptr<AppendQueue>> queues_;
};

class EmbeddedEventLog final : public EventLog {
 public:
  explicit EmbeddedEventLog(std::shared_ptr<OpenLog> log) : log_(std::move(log)) {}

  Result<std::unique_ptr<EventProducer>> producer(boost::asio::any_io_executor loop) override {
    return make_event_producer(std::move(loop), log_->options().log, log_->signals(),
                               [log = log_](const std::string& topic) { return log->append_target(topic); });
  }
  Result<std::unique_ptr<EventConsumer>> consumer(const ConsumerOptions& options) override {
    return open_event_consumer(log_->directory(), log_->signals(), options, *log_->options().clock);
  }
  Result<> ensure_topics(const std::vector<TopicSpec>& topics) override {
    return log_->ensure_topics(topics);
  }
  Result<std::int32_t> partition_count(const std::string& topic) override {
    return log_->partition_count(topic);
  }
  Result<std::vector<std::int64_t>> end_offsets(const std::string& topic) override {
    return log_->end_offsets(topic);
  }
  Result<std::vector<std::optional<std::int64_t>>> committed_offsets(const std::string& group,
                                                                     const std::string& topic) override {
    return log_->committed_offsets(group, topic);
  }
  Result<> ping(Duration timeout) override { return log_->ping(timeout); }

 private:
  std::shared_ptr<OpenLog> log_;
};

}  // namespace

Result<std::unique_ptr<EventLog>> open_event_log(const EmbeddedOptions& options) {
  const std::string directory = options.directory + "/log";
  const auto made = create_directory(directory);
  if (!made) return made.error();
  auto signals = LogSignals::open(directory);
  if (!signals) return signals.error();
  // Topics are durable when ensure_topics returns.
  auto catalog = open_catalog(directory, Synchronous::full);
  if (!catalog) return catalog.error();
  auto turn = TurnLock::open(*signals, LogSignals::kCatalogLock);
  if (!turn) return turn.error();
  return std::make_unique<EmbeddedEventLog>(
      std::make_shared<OpenLog>(options, directory, *signals, std::move(*catalog), std::move(*turn)));
}

}  // namespace flux::embedded
