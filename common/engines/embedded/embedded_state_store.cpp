#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <optional>
#include <utility>

#include "common/engines/embedded/embedded_engines.hpp"
#include "common/engines/embedded/state_tables.hpp"
#include "common/engines/embedded/state_writer.hpp"

namespace flux::embedded {
namespace {

namespace asio = boost::asio;

// A change whose caller is a suspended coroutine.
template <class T, class Work, class Handler>
class AwaitedChange final : public StateChange {
 public:
  AwaitedChange(Work work, Handler handler) : work_(std::move(work)), handler_(std::move(handler)) {}

  Result<> apply(StateTables& tables) override {
    value_.emplace(work_(tables));
    if (!*value_ && !is_refusal(value_->error().code)) return value_->error();
    return {};
  }

  void finish(const Error* failure) override {
    if (!handler_) return;
    Handler handler = std::move(*handler_);
    handler_.reset();
    Result<T> result = failure != nullptr ? Result<T>{*failure} : std::move(*value_);
    auto executor = asio::get_associated_executor(handler);
    asio::dispatch(executor, [handler = std::move(handler), result = std::move(result)]() mutable {
      handler(std::move(result));
    });
  }

 private:
  Work work_;
  std::optional<Handler> handler_;
  std::optional<Result<T>> value_;
};

// Gives callers their answer in time when the writer cannot (another process is
// stopped while it holds the lock, or the disk hangs).
class Deadlines : public std::enable_shared_from_this<Deadlines> {
 public:
  Deadlines(asio::any_io_executor loop, Duration timeout, std::string file)
      : timer_(std::move(loop)), timeout_(timeout), file_(std::move(file)) {}

  void watch(const std::shared_ptr<StateChange>& change) {
    while (!changes_.empty() && changes_.front().first.expired()) changes_.pop_front();
    changes_.emplace_back(change, std::chrono::steady_clock::now() + timeout_);
    if (!is_armed_) arm();
  }

  void close() {
    changes_.clear();
    timer_.cancel();
  }

 private:
  void arm() {
    is_armed_ = true;
    timer_.expires_at(changes_.front().second);
    timer_.async_wait([weak = weak_from_this()](boost::system::error_code stopped) {
      const auto self = weak.lock();
      if (self && !stopped) self->expire();
    });
  }

  void expire() {
    const auto now = std::chrono::steady_clock::now();
    is_armed_ = false;
    while (!changes_.empty()) {
      const auto change = changes_.front().first.lock();
      if (change && changes_.front().second > now) break;
      changes_.pop_front();
      if (!change) continue;
      change->is_abandoned = true;
      const Error late{Errc::timed_out, file_ + ": no answer in time",
                       "look for a stopped or hanging process that uses the data directory", true};
      change->finish(&late);
    }
    if (!changes_.empty()) arm();
  }

  asio::steady_timer timer_;
  const Duration timeout_;
  const std::string file_;
  std::deque<std::pair<std::weak_ptr<StateChange>, SteadyTime>> changes_;
  bool is_armed_ = false;
};

template <class T>
Async<T> ready(T value) {
  co_return value;
}

class EmbeddedStateStore final : public StateStore {
 public:
  EmbeddedStateStore(std::shared_ptr<StateWriter> writer, std::unique_ptr<StateTables> reader,
                     asio::any_io_executor loop, Duration timeout)
      : writer_(std::move(writer)),
        reader_(std::move(reader)),
        mailbox_(std::make_shared<StateMailbox>(loop)),
        deadlines_(std::make_shared<Deadlines>(loop, timeout, writer_->file())) {}
  ~EmbeddedStateStore() override { deadlines_->close(); }

  Async<Result<ProductStock>> put_product(std::string product_id, std::int64_t stock,
                                          std::int32_t buckets) override {
    if (auto valid = check_product(product_id, stock, buckets); !valid)
      return ready(Result<ProductStock>{valid.error()});
    return write<ProductStock>([product_id = std::move(product_id), stock, buckets](StateTables& tables) {
      return tables.put_product(product_id, stock, buckets);
    });
  }
  Async<Result<ProductStock>> get_product(std::string product_id) override {
    return ready(reader_->get_product(product_id));
  }
  Async<Result<>> restore_product(std::string product_id, std::int64_t stock, std::int64_t confirmed,
                                  std::int32_t buckets) override {
    if (auto valid = check_product(product_id, stock, buckets); !valid) return ready(Result<>{valid.error()});
    return write<void>([product_id = std::move(product_id), stock, confirmed, buckets](StateTables& tables) {
      return tables.restore_product(product_id, stock, confirmed, buckets);
    });
  }
  Async<Result<bool>> is_restored() override { return ready(reader_->is_restored()); }
  Async<Result<>> mark_restored() override {
    return write<void>([](StateTables& tables) { return tables.mark_restored(); });
  }

  Async<Result<Reservation>> reserve(ReserveRequest request) override {
    if (auto valid = check_quantity(request.product_id, request.quantity); !valid)
      return ready(Result<Reservation>{valid.error()});
    return write<Reservation>(
        [request = std::move(request)](StateTables& tables) { return tables.reserve(request); });
  }
  Async<Result<std::int64_t>> settle(std::vector<Settlement> settlements) override {
    return write<std::int64_t>(
        [settlements = std::move(settlements)](StateTables& tables) { return tables.settle(settlements); });
  }
  Async<Result<std::vector<Reservation>>> stale_reservations(WallTime before, std::size_t max) override {
    return ready(reader_->stale_reservations(before, max));
  }

  Async<Result<KeyClaim>> claim_key(ClaimRequest request) override {
    return write<KeyClaim>(
        [request = std::move(request)](StateTables& tables) { return tables.claim_key(request); });
  }
  Async<Result<>> answer_key(std::string scope, std::string key, std::string answer, Duration keep) override {
    return write<void>([scope = std::move(scope), key = std::move(key), answer = std::move(answer),
                        keep](StateTables& tables) { return tables.answer_key(scope, key, answer, keep); });
  }
  Async<Result<>> release_key(std::string scope, std::string key, Uuid order_id) override {
    return write<void>([scope = std::move(scope), key = std::move(key), order_id](StateTables& tables) {
      return tables.release_key(scope, key, order_id);
    });
  }

  Async<Result<RateDecision>> take_token(std::string client, double rate, double burst,
                                         WallTime now) override {
    if (!(rate > 0)) return ready(Result<RateDecision>{RateDecision{}});  // no limit
    return write<RateDecision>([client = std::move(client), rate, burst, now](StateTables& tables) {
      return tables.take_token(client, rate, burst, now);
    });
  }

  Async<Result<std::optional<std::string>>> cache_get(std::string key) override {
    return ready(reader_->cache_get(key));
  }
  Async<Result<>> cache_put(std::string key, std::string value, Duration ttl) override {
    return write<void>([key = std::move(key), value = std::move(value), ttl](StateTables& tables) {
      return tables.cache_put(key, value, ttl);
    });
  }
  Async<Result<>> cache_drop(std::vector<std::string> keys) override {
    return write<void>([keys = std::move(keys)](StateTables& tables) { return tables.cache_drop(keys); });
  }

  Async<Result<std::optional<Lease>>> acquire_lease(std::string name, std::string owner,
                                                    Duration ttl) override {
    return write<std::optional<Lease>>(
        [name = std::move(name), owner = std::move(owner), ttl](StateTables& tables) {
          return tables.acquire_lease(name, owner, ttl);
        });
  }
  Async<Result<>> release_lease(Lease lease) override {
    return write<void>(
        [lease = std::move(lease)](StateTables& tables) { return tables.release_lease(lease); });
  }

  Async<Result<>> ping() override {
    return write<void>([](StateTables&) { return Result<>{}; });
  }

 private:
  // `work` owns its arguments: when it is not done in time, the caller's frame
  // goes while the writer may be at it.
  template <class T, class Work>
  Async<Result<T>> write(Work work) {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Result<T>)>(
        [this](auto handler, Work moved) {
          using Change = AwaitedChange<T, Work, decltype(handler)>;
          auto change = std::make_shared<Change>(std::move(moved), std::move(handler));
          deadlines_->watch(change);
          writer_->submit(std::move(change), mailbox_);
        },
        asio::use_awaitable, std::move(work));
  }

  std::shared_ptr<StateWriter> writer_;
  std::unique_ptr<StateTables> reader_;  // used on the loop's thread; never waits for a writer
  std::shared_ptr<StateMailbox> mailbox_;
  std::shared_ptr<Deadlines> deadlines_;
};

}  // namespace

Result<std::unique_ptr<StateStore>> open_state_store(const EmbeddedOptions& options,
                                                     asio::any_io_executor loop) {
  auto writer = StateWriter::of(options);
  if (!writer) return writer.error();
  // The reader waits only while another process recovers the file after a crash.
  auto reader = StateTables::open((*writer)->file(), *options.clock, false, std::chrono::seconds{1});
  if (!reader) return reader.error();
  return std::unique_ptr<StateStore>{std::make_unique<EmbeddedStateStore>(
      std::move(*writer), std::move(*reader), std::move(loop), options.state_timeout)};
}

}  // namespace flux::embedded
