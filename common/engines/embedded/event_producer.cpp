#include "common/engines/embedded/event_producer.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <random>
#include <utility>

#include "common/engines/embedded/record_batch.hpp"
#include "common/ports/key_partition.hpp"

namespace flux::embedded {
namespace {

namespace asio = boost::asio;

// Counts what is under way, and takes results back to the loop.
class Outcomes final : public AppendOutcomes {
 public:
  explicit Outcomes(asio::any_io_executor loop) : loop_(std::move(loop)) {}

  void begin() {
    const std::lock_guard lock{mutex_};
    ++under_way_;
  }

  void deliver(std::vector<FinishedAppend> finished) override {
    const std::size_t count = finished.size();
    asio::post(loop_, [finished = std::move(finished)]() mutable {
      for (FinishedAppend& append : finished) append.waiter->done(std::move(append.result));
    });
    forget(count);
  }

  void forget(std::size_t count) {
    const std::lock_guard lock{mutex_};
    under_way_ -= count;
    if (under_way_ == 0) idle_.notify_all();
  }

  bool wait_idle(Duration timeout) {
    std::unique_lock lock{mutex_};
    return idle_.wait_for(lock, timeout, [&] { return under_way_ == 0; });
  }

 private:
  asio::any_io_executor loop_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t under_way_ = 0;
};

// Keeps the loop running until its append is done.
template <class Handler>
class Waiter final : public AppendWaiter {
 public:
  Waiter(Handler handler, const asio::any_io_executor& loop)
      : handler_(std::move(handler)),
        executor_(asio::prefer(asio::get_associated_executor(handler_, loop),
                               asio::execution::outstanding_work.tracked)) {}

  void done(AppendResult result) override {
    asio::dispatch(executor_, [handler = std::move(handler_), result = std::move(result)]() mutable {
      std::move(handler)(std::move(result));
    });
  }

 private:
  Handler handler_;
  asio::any_io_executor executor_;
};

// Records without a key stay with one random partition for a while, so that
// batches are larger (Kafka's "sticky" choice).
class StickyChoice {
 public:
  std::int32_t choose(std::int32_t partitions) {
    const auto now = std::chrono::steady_clock::now();
    if (left_-- <= 0 || now >= until_) {
      left_ = 64;
      until_ = now + std::chrono::milliseconds{20};
      chosen_ = random_();
    }
    return static_cast<std::int32_t>(chosen_ % static_cast<std::uint64_t>(partitions));
  }

 private:
  std::mt19937_64 random_{std::random_device{}()};
  std::uint64_t chosen_ = 0;
  int left_ = 0;
  SteadyTime until_{};
};

class EmbeddedProducer final : public EventProducer {
 public:
  EmbeddedProducer(asio::any_io_executor loop, const EmbeddedLogOptions& options,
                   std::shared_ptr<LogSignals> signals,
                   std::function<Result<AppendTarget>(const std::string&)> find)
      : loop_(std::move(loop)),
        options_(options),
        signals_(std::move(signals)),
        find_(std::move(find)),
        outcomes_(std::make_shared<Outcomes>(loop_)) {}

  // After this nobody posts to the loop any more. Bounded, as every append is.
  ~EmbeddedProducer() override { outcomes_->wait_idle(Duration::max() / 4); }

  asio::awaitable<Result<RecordPosition>> append(Record record) override {
    if (encoded_size(record) > options_.max_record_bytes) {
      co_return Error{Errc::invalid_argument,
                      "a record for topic " + record.topic + " has " + std::to_string(encoded_size(record)) +
                          " bytes, at most " + std::to_string(options_.max_record_bytes) + " are allowed",
                      "send less in one record"};
    }
    const Result<AppendTarget> target = target_of(record.topic);
    if (!target) co_return target.error();
    PendingAppend pending;
    pending.partition = record.key.empty() ? sticky_.choose(target->partitions)
                                           : partition_of_key(record.key, target->partitions);
    pending.record = std::move(record);
    pending.deadline = std::chrono::steady_clock::now() + options_.delivery_timeout;
    pending.outcomes = outcomes_;
    AppendResult result = co_await enqueue(*target->queue, std::move(pending));
    co_return result;
  }

  Result<> flush(Duration timeout) override {
    if (outcomes_->wait_idle(timeout)) return {};
    return Error{Errc::timed_out, "not everything appended is acknowledged yet", "", true};
  }

 private:
  asio::awaitable<AppendResult> enqueue(AppendQueue& queue, PendingAppend pending) {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(AppendResult)>(
        [this, &queue](auto handler, PendingAppend waiting) {
          waiting.waiter = std::make_unique<Waiter<decltype(handler)>>(std::move(handler), loop_);
          outcomes_->begin();
          if (queue.push(std::move(waiting))) return;
          std::vector<FinishedAppend> refused;
          refused.push_back({std::move(waiting.waiter), Error{Errc::exhausted, queue.full_message(),
                                                              "slow down, or use a faster disk", true}});
          outcomes_->deliver(std::move(refused));
        },
        asio::use_awaitable, std::move(pending));
  }

  Result<AppendTarget> target_of(const std::string& topic) {
    const std::uint32_t changes = signals_->read(LogSignals::kGroups);
    if (changes != seen_changes_) {
      targets_.clear();
      seen_changes_ = changes;
    }
    if (const auto known = targets_.find(topic); known != targets_.end()) return known->second;
    auto found = find_(topic);
    if (found) targets_.emplace(topic, *found);
    return found;
  }

  asio::any_io_executor loop_;
  EmbeddedLogOptions options_;
  std::shared_ptr<LogSignals> signals_;
  std::function<Result<AppendTarget>(const std::string&)> find_;
  std::shared_ptr<Outcomes> outcomes_;
  std::map<std::string, AppendTarget> targets_;
  std::uint32_t seen_changes_ = 0;
  StickyChoice sticky_;
};

}  // namespace

std::unique_ptr<EventProducer> make_event_producer(
    boost::asio::any_io_executor loop, const EmbeddedLogOptions& options, std::shared_ptr<LogSignals> signals,
    std::function<Result<AppendTarget>(const std::string&)> find) {
  return std::make_unique<EmbeddedProducer>(std::move(loop), options, std::move(signals), std::move(find));
}

}  // namespace flux::embedded
