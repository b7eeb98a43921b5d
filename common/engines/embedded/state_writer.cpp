#include "common/engines/embedded/state_writer.hpp"

#include <boost/asio/post.hpp>
#include <filesystem>
#include <map>
#include <utility>

namespace flux::embedded {
namespace {

// Bounds how long one process keeps the others waiting.
constexpr std::size_t kBatch = 1024;
constexpr std::chrono::seconds kSweepEvery{2};

struct Registry {
  std::mutex mutex;
  std::map<std::pair<std::string, const Clock*>, std::weak_ptr<StateWriter>> writers;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

void StateMailbox::deliver(std::vector<std::shared_ptr<StateChange>> changes,
                           const std::shared_ptr<const Error>& failure) {
  boost::asio::post(loop_, [changes = std::move(changes), failure] {
    for (const auto& change : changes) change->finish(failure.get());
  });
}

Result<std::shared_ptr<StateWriter>> StateWriter::of(const EmbeddedOptions& options) {
  if (auto made = create_directory(options.directory); !made) return made.error();
  std::error_code failed;
  const std::string directory = std::filesystem::canonical(options.directory, failed).string();
  if (failed) {
    return Error{Errc::unavailable,
                 "cannot open the directory " + options.directory + ": " + failed.message(),
                 "choose another one with --data or `data:`"};
  }
  Registry& all = registry();
  const std::lock_guard guard{all.mutex};
  auto& known = all.writers[{directory, options.clock}];
  if (auto writer = known.lock()) return writer;

  const std::string file = directory + "/state.db";
  auto turns = WriteTurns::open(file + ".turns");
  if (!turns) return turns.error();
  auto tables = StateTables::open(file, *options.clock, true, options.state_timeout);
  if (!tables) return tables.error();
  std::shared_ptr<StateWriter> writer{
      new StateWriter{file, options.state_timeout, std::move(*tables), std::move(*turns)}};
  known = writer;
  return writer;
}

StateWriter::StateWriter(std::string file, Duration timeout, std::unique_ptr<StateTables> tables,
                         std::unique_ptr<WriteTurns> turns)
    : file_(std::move(file)), timeout_(timeout), tables_(std::move(tables)), turns_(std::move(turns)) {
  thread_ = std::jthread{[this](std::stop_token stop) { run(std::move(stop)); }};
}

StateWriter::~StateWriter() {
  thread_.request_stop();
  thread_.join();
}

void StateWriter::submit(std::shared_ptr<StateChange> change, std::shared_ptr<StateMailbox> mailbox) {
  bool was_empty = false;
  {
    const std::lock_guard guard{mutex_};
    was_empty = queue_.empty();
    queue_.push_back({std::move(change), std::move(mailbox)});
  }
  if (was_empty) wake_.notify_one();
}

std::vector<StateWriter::Entry> StateWriter::take() {
  const std::lock_guard guard{mutex_};
  if (queue_.size() <= kBatch) return std::exchange(queue_, {});
  const auto end = queue_.begin() + kBatch;
  std::vector<Entry> batch{std::make_move_iterator(queue_.begin()), std::make_move_iterator(end)};
  queue_.erase(queue_.begin(), end);
  return batch;
}

void StateWriter::run(std::stop_token stop) {
  for (;;) {
    {
      std::unique_lock guard{mutex_};
      wake_.wait_for(guard, stop, kSweepEvery, [this] { return !queue_.empty(); });
      if (queue_.empty() && stop.stop_requested()) return;
    }
    std::vector<Entry> batch;
    const auto written = write(batch);
    const auto failure = written ? nullptr : std::make_shared<const Error>(written.error());
    std::map<std::shared_ptr<StateMailbox>, std::vector<std::shared_ptr<StateChange>>> finished;
    for (Entry& entry : batch) finished[std::move(entry.mailbox)].push_back(std::move(entry.change));
    for (auto& [mailbox, changes] : finished) mailbox->deliver(std::move(changes), failure);
  }
}

Result<> StateWriter::write(std::vector<Entry>& batch) {
  const auto turn = turns_->take(timeout_);
  batch = take();  // also what came while others had their turns
  if (!turn) return turn.error();
  return apply(batch);
}

Result<> StateWriter::apply(const std::vector<Entry>& batch) {
  const auto now = std::chrono::steady_clock::now();
  const bool sweeps = now >= next_sweep_;
  if (batch.empty() && !sweeps) return {};
  auto transaction = SqliteTransaction::begin(tables_->database());
  if (!transaction) return transaction.error();
  for (const Entry& entry : batch) {
    if (entry.change->is_abandoned.load(std::memory_order_relaxed)) continue;
    if (auto applied = entry.change->apply(*tables_); !applied) return applied;
  }
  if (sweeps) {
    next_sweep_ = now + kSweepEvery;
    if (auto swept = tables_->sweep(); !swept) return swept;
  }
  return transaction->commit();
}

}  // namespace flux::embedded
