#include "common/engines/embedded/append_queue.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "common/core/log.hpp"
#include "common/engines/embedded/record_batch.hpp"

namespace flux::embedded {
namespace {

// One transaction holds the lock for about one sync; beyond this size its own
// writing would make other processes wait noticeably.
constexpr std::size_t kGroupRecords = 8192;
constexpr std::size_t kGroupBytes = 4 << 20;
constexpr int kTrimRounds = 20;  // per retention check

}  // namespace

AppendQueue::AppendQueue(const EmbeddedOptions& options, std::string log_directory, std::string topic,
                         std::int64_t topic_id, std::shared_ptr<LogSignals> signals)
    : options_(options),
      directory_(std::move(log_directory)),
      topic_(std::move(topic)),
      topic_id_(topic_id),
      signals_(std::move(signals)),
      writer_([this] { run(); }) {}

AppendQueue::~AppendQueue() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  filled_.notify_one();
  if (writer_.joinable()) writer_.join();
}

bool AppendQueue::push(PendingAppend&& pending) {
  const std::size_t size = encoded_size(pending.record);
  bool wake = false;
  {
    const std::lock_guard lock{mutex_};
    if (queue_.size() >= options_.log.max_queued_records ||
        queued_bytes_ + size > options_.log.max_queued_bytes) {
      return false;
    }
    wake = queue_.empty();
    queued_bytes_ += size;
    queue_.push_back(std::move(pending));
  }
  if (wake) filled_.notify_one();
  return true;
}

std::string AppendQueue::full_message() const {
  return "the append queue of topic " + topic_ + " is full (" +
         std::to_string(options_.log.max_queued_records) + " records or " +
         std::to_string(options_.log.max_queued_bytes >> 20) + " MiB)";
}

void AppendQueue::run() {
  for (;;) {
    {
      std::unique_lock lock{mutex_};
      filled_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
    }
    write_group();
  }
}

std::vector<PendingAppend> AppendQueue::take_group() {
  const std::lock_guard lock{mutex_};
  std::vector<PendingAppend> group;
  std::size_t bytes = 0;
  while (!queue_.empty() && group.size() < kGroupRecords && bytes < kGroupBytes) {
    bytes += encoded_size(queue_.front().record);
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queued_bytes_ -= bytes;
  return group;
}

std::vector<PendingAppend> AppendQueue::take_expired(SteadyTime now) {
  const std::lock_guard lock{mutex_};
  std::vector<PendingAppend> expired;
  // Deadlines rise along the queue, as all producers have one delivery timeout.
  while (!queue_.empty() && queue_.front().deadline <= now) {
    queued_bytes_ -= encoded_size(queue_.front().record);
    expired.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return expired;
}

void AppendQueue::write_group() {
  SteadyTime deadline{};
  {
    const std::lock_guard lock{mutex_};
    deadline = queue_.front().deadline;
  }
  const auto opened = open_file();
  // The group is taken once it is this process's turn: it gathers meanwhile.
  if (opened && !turn_->acquire(deadline)) {
    std::vector<PendingAppend> expired = take_expired(std::chrono::steady_clock::now());
    const Error error{
        Errc::unavailable,
        directory_ + ": topic " + topic_ + ": other processes held the log for the whole delivery timeout",
        "look for a stopped or hanging process that uses the data directory", true};
    deliver(expired, std::vector<AppendResult>(expired.size(), error));
    return;
  }
  std::vector<PendingAppend> group = take_group();
  std::vector<TopicFile::Entry> entries(group.size());
  for (std::size_t i = 0; i < group.size(); ++i) {
    entries[i] = {&group[i].record, {group[i].partition, 0}};
  }
  const Result<> written = opened ? write(entries) : opened;
  std::vector<AppendResult> results;
  results.reserve(group.size());
  for (const TopicFile::Entry& entry : entries) results.push_back(outcome_of(written, entry));
  deliver(group, results);
}

AppendResult AppendQueue::outcome_of(const Result<>& written, const TopicFile::Entry& entry) const {
  if (written) return entry.position;
  Error error = written.error();
  // Another program holds SQLite's lock: certainly not written, so to the
  // caller it is the same as a log that cannot be reached.
  if (error.code == Errc::timed_out) error.code = Errc::unavailable;
  return error;
}

Result<> AppendQueue::open_file() {
  if (!turn_) {
    auto turn = TurnLock::open(signals_, LogSignals::topic_lock(topic_id_));
    if (!turn) return turn.error();
    turn_.emplace(std::move(*turn));
  }
  if (file_) return {};
  auto file = TopicFile::open(directory_, topic_, options_.log.delivery_timeout);
  if (!file) return file.error();
  file_ = std::move(*file);
  return {};
}

Result<> AppendQueue::write(std::vector<TopicFile::Entry>& entries) {
  const auto written = file_->append(entries, options_.clock->wall());
  if (written) apply_retention();
  turn_->release();
  if (written) {
    signals_->raise(LogSignals::appended_word(topic_id_));
    signals_->raise(LogSignals::kActivity);
  } else if (written.error().code != Errc::exhausted && written.error().code != Errc::timed_out) {
    file_.reset();  // opened afresh for the next group: the file may have been put right
  }
  return written;
}

void AppendQueue::apply_retention() {
  const SteadyTime now = options_.clock->steady();
  if (now < next_retention_) return;
  next_retention_ = now + options_.log.retention_check;
  const WallTime oldest = options_.log.retention_age > Duration::zero()
                              ? options_.clock->wall() -
                                    std::chrono::duration_cast<WallTime::duration>(options_.log.retention_age)
                              : WallTime::min();
  for (int round = 0; round < kTrimRounds; ++round) {
    const auto more = file_->trim(oldest, options_.log.retention_bytes);
    if (!more) {
      log::warning("event log: cannot drop old records",
                   {{"topic", topic_}, {"error", more.error().one_line()}});
      return;
    }
    if (!*more) return;
  }
  next_retention_ = now;  // there is more to drop: go on with the next group
}

void AppendQueue::deliver(std::vector<PendingAppend>& group, const std::vector<AppendResult>& results) {
  std::map<std::shared_ptr<AppendOutcomes>, std::vector<FinishedAppend>> by_producer;
  for (std::size_t i = 0; i < group.size(); ++i) {
    by_producer[std::move(group[i].outcomes)].push_back({std::move(group[i].waiter), results[i]});
  }
  for (auto& [outcomes, finished] : by_producer) outcomes->deliver(std::move(finished));
}

}  // namespace flux::embedded
