#include "common/engines/distributed/kafka/kafka_producer.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstring>
#include <iterator>
#include <utility>

#include "common/core/log.hpp"
#include "common/core/units.hpp"
#include "common/engines/distributed/kafka/delivery_channel.hpp"

namespace flux::kafka {
namespace {

namespace asio = boost::asio;
using std::chrono::steady_clock;

// Outcomes handed out per turn of the loop, so that a large acknowledgement does
// not keep requests waiting.
constexpr std::size_t kOutcomesPerTurn = 1024;
// A client that fails at once (no right to write, say) is not restarted in a circle.
constexpr auto kBetweenRestarts = std::chrono::seconds{1};
constexpr auto kLookForOverdue = std::chrono::milliseconds{500};
constexpr auto kOverdueAfter = std::chrono::seconds{2};  // beyond the delivery timeout

template <class Handler>
class AwaitedDelivery final : public Delivery {
 public:
  AwaitedDelivery(Record r, Handler handler, const asio::any_io_executor& loop)
      : Delivery{std::move(r)},
        handler_{std::move(handler)},
        waits_on_loop_{asio::get_associated_executor(handler_, loop) == loop} {}

  // Called on the loop. A coroutine of the loop itself is resumed right here.
  void complete(Result<RecordPosition> outcome) override {
    if (waits_on_loop_) return std::move(handler_)(std::move(outcome));
    auto executor = asio::get_associated_executor(handler_);
    asio::dispatch(executor, [handler = std::move(handler_), outcome = std::move(outcome)]() mutable {
      std::move(handler)(std::move(outcome));
    });
  }

 private:
  Handler handler_;
  const bool waits_on_loop_;
};

// Outlives the producer object for as long as a handler of the loop runs.
class Appends : public std::enable_shared_from_this<Appends> {
 public:
  Appends(const KafkaOptions& options, asio::any_io_executor loop, int wake_fd)
      : options_{options}, loop_{std::move(loop)}, wakeups_{loop_, wake_fd}, overdue_timer_{loop_} {}

  const asio::any_io_executor& loop() const { return loop_; }

  Result<> start() {
    auto opened = DeliveryChannel::open(options_, wakeups_.native_handle());
    if (!opened) return opened.error();
    channel_ = std::move(*opened);
    started_at_ = steady_clock::now();
    wait_for_outcomes();
    watch_overdue();
    return {};
  }

  void append(std::unique_ptr<Delivery> delivery) {
    if (auto sent = send(delivery); !sent)
      asio::post(loop_, [waiting = std::move(delivery), error = sent.error()] { waiting->complete(error); });
  }

  Result<> flush(Duration timeout) {
    const auto deadline = steady_clock::now() + timeout;
    while (in_flight() > 0) {
      const auto left = deadline - steady_clock::now();
      if (left <= Duration::zero())
        return Error{.code = Errc::timed_out,
                     .message = std::to_string(in_flight()) + " appends are not acknowledged after " +
                                format_duration(timeout),
                     .hint = "look at the brokers: flux doctor",
                     .retryable = true};
      collect(std::min<Duration>(left, std::chrono::milliseconds{20}));
      answer_later();
    }
    return {};
  }

  // Answers everything that is left, as unsure where it is.
  void stop() {
    stopped_ = true;
    boost::system::error_code ignored;
    wakeups_.cancel(ignored);
    overdue_timer_.cancel();
    channel_->abandon();
    const auto deadline = steady_clock::now() + std::chrono::seconds{1};
    while (in_flight() > 0 && steady_clock::now() < deadline) collect(std::chrono::milliseconds{20});
    retired_.push_back(std::move(channel_));
    for (auto& channel : retired_)
      for (Outcome& left : channel->close()) outcomes_.push_back(std::move(left));
    retired_.clear();
    answer_later();
  }

 private:
  Result<> send(std::unique_ptr<Delivery>& delivery) {
    if (stopped_)
      return Error{.code = Errc::interrupted, .message = "the producer is closed", .retryable = false};
    if (channel_->is_broken() && !restart()) return broken();
    auto sent = channel_->send(delivery);
    if (!sent && channel_->is_broken() && restart()) sent = channel_->send(delivery);
    return sent;
  }

  static Error broken() {
    return Error{.code = Errc::unavailable,
                 .message = "the Kafka producer is being restarted after a fatal error",
                 .hint = "try again in a second",
                 .retryable = true};
  }

  // A producer that lost its sequence is replaced; what it still holds is answered
  // from the retired one.
  bool restart() {
    const auto now = steady_clock::now();
    if (now - started_at_ < kBetweenRestarts) return false;
    started_at_ = now;
    auto opened = DeliveryChannel::open(options_, wakeups_.native_handle());
    if (!opened) {
      log::error("cannot restart the Kafka producer", {{"reason", opened.error().one_line()}});
      return false;
    }
    channel_->abandon();
    retired_.push_back(std::move(channel_));
    channel_ = std::move(*opened);
    return true;
  }

  std::size_t in_flight() const {
    std::size_t all = channel_->in_flight();
    for (const auto& channel : retired_) all += channel->in_flight();
    return all;
  }

  bool collect(Duration wait) {
    bool more = false;
    for (const auto& channel : retired_)
      more |= channel->collect(outcomes_, kOutcomesPerTurn, Duration::zero());
    std::erase_if(retired_, [](const auto& channel) { return channel->in_flight() == 0; });
    more |= channel_->collect(outcomes_, kOutcomesPerTurn, retired_.empty() ? wait : Duration::zero());
    return more;
  }

  void answer_now() {
    // Resumed coroutines append again; their outcomes belong to the next turn.
    auto outcomes = std::exchange(outcomes_, {});
    for (Outcome& o : outcomes) o.delivery->complete(std::move(o.result));
    outcomes.clear();
    if (outcomes_.empty()) outcomes_ = std::move(outcomes);  // keeps its memory
  }

  void answer_later() {
    if (outcomes_.empty()) return;
    asio::post(loop_, [outcomes = std::exchange(outcomes_, {})]() mutable {
      for (Outcome& o : outcomes) o.delivery->complete(std::move(o.result));
    });
  }

  void wait_for_outcomes() {
    wakeups_.async_wait(asio::posix::stream_descriptor::wait_read,
                        [self = weak_from_this()](boost::system::error_code failed) {
                          const auto appends = self.lock();
                          if (!failed && appends) appends->turn();
                        });
  }

  // librdkafka is trusted with the delivery timeout, but not alone: an append of ours
  // has an end whatever happens inside.
  void watch_overdue() {
    overdue_timer_.expires_after(kLookForOverdue);
    overdue_timer_.async_wait([self = weak_from_this()](boost::system::error_code failed) {
      const auto appends = self.lock();
      if (failed || !appends || appends->stopped_) return;
      appends->collect(Duration::zero());
      appends->answer_now();
      if (!appends->stopped_) appends->answer_overdue();
      if (!appends->stopped_) appends->watch_overdue();
    });
  }

  void answer_overdue() {
    const auto limit = steady_clock::now() - options_.delivery_timeout - kOverdueAfter;
    std::vector<Delivery*> overdue = channel_->take_overdue(limit);
    for (const auto& channel : retired_)
      std::ranges::copy(channel->take_overdue(limit), std::back_inserter(overdue));
    for (Delivery* delivery : overdue) {
      if (stopped_) return;  // a coroutine that was answered closed the producer
      delivery->complete(
          Error{.code = Errc::maybe_persisted,
                .message = "the append to topic " + delivery->record.topic + " got no answer in time",
                .hint = "it may be in the log; look for it before sending it again"});
    }
  }

  void turn() {
    if (stopped_) return;
    // Read the wake-up before the queue: whatever comes after writes it again.
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wakeups_.native_handle(), &count, sizeof count);
    const bool more = collect(Duration::zero());
    answer_now();
    if (stopped_) return;
    if (more) {
      // What was left over writes no wake-up of its own.
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto put = ::write(wakeups_.native_handle(), &one, sizeof one);
    }
    wait_for_outcomes();
  }

  const KafkaOptions options_;
  asio::any_io_executor loop_;
  asio::posix::stream_descriptor wakeups_;  // outlives the channels, which write to it
  asio::steady_timer overdue_timer_;
  std::unique_ptr<DeliveryChannel> channel_;
  std::vector<std::unique_ptr<DeliveryChannel>> retired_;
  std::vector<Outcome> outcomes_;
  steady_clock::time_point started_at_{};
  bool stopped_ = false;
};

class KafkaProducer final : public EventProducer {
 public:
  explicit KafkaProducer(std::shared_ptr<Appends> appends) : appends_{std::move(appends)} {}
  ~KafkaProducer() override { appends_->stop(); }

  asio::awaitable<Result<RecordPosition>> append(Record record) override {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Result<RecordPosition>)>(
        [](auto handler, Appends* appends, Record r) {
          using Handler = decltype(handler);
          appends->append(
              std::make_unique<AwaitedDelivery<Handler>>(std::move(r), std::move(handler), appends->loop()));
        },
        asio::use_awaitable, appends_.get(), std::move(record));
  }

  Result<> flush(Duration timeout) override { return appends_->flush(timeout); }

 private:
  std::shared_ptr<Appends> appends_;
};

}  // namespace

Result<std::unique_ptr<EventProducer>> make_producer(const KafkaOptions& options,
                                                     asio::any_io_executor loop) {
  const int wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd < 0)
    return Error{.code = Errc::exhausted,
                 .message = std::string{"cannot make an eventfd: "} + std::strerror(errno),
                 .hint = "raise the limit of open files (ulimit -n)",
                 .retryable = true};
  auto appends = std::make_shared<Appends>(options, loop, wake_fd);
  if (auto started = appends->start(); !started) return started.error();
  return std::make_unique<KafkaProducer>(std::move(appends));
}

}  // namespace flux::kafka
