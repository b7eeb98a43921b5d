#include "common/engines/distributed/redis/node_connection.hpp"

#include <async.h>
#include <hiredis.h>

#include <algorithm>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <utility>

#include "common/engines/distributed/redis/script.hpp"

namespace flux::redis {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using ErrorCode = boost::system::error_code;

constexpr Duration kFirstBackOff = 50ms;
constexpr Duration kLongestBackOff = 2s;
// A connection that did not live so long counts as a failed attempt.
constexpr Duration kStable = 1s;

Async<Result<ServerAddress>> always(ServerAddress address) {
  co_return address;
}

// hiredis writes without MSG_NOSIGNAL: a lost connection must not end the process.
void ignore_broken_pipes() {
  static const bool once = [] {
    struct sigaction present {};
    if (::sigaction(SIGPIPE, nullptr, &present) == 0 && present.sa_handler == SIG_DFL)
      ::signal(SIGPIPE, SIG_IGN);
    return true;
  }();
  (void)once;
}

Async<void> wait_for(asio::steady_timer& timer) {
  ErrorCode ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace

// hiredis' event hooks and callbacks. All run on the loop's thread.
struct NodeConnection::Hooks {
  static NodeConnection& of(void* data) { return *static_cast<NodeConnection*>(data); }
  static void add_read(void* data) {
    NodeConnection& self = of(data);
    if (!std::exchange(self.reads_, true)) self.wait_readable();
  }
  static void delete_read(void*) {}
  static void add_write(void* data) {
    NodeConnection& self = of(data);
    if (std::exchange(self.writes_, true)) return;
    // Written at the end of this turn of the loop, with what else it brings; or
    // when the socket can take more.
    if ((self.context_->c.flags & REDIS_CONNECTED) != 0 && !self.is_flushing_) {
      asio::post(self.loop_, [connection = self.shared_from_this(), generation = self.generation_] {
        if (generation == connection->generation_ && connection->context_ != nullptr) connection->flush();
      });
    } else {
      self.wait_writable();
    }
  }
  static void delete_write(void*) {}
  // The context is going away and closes the socket itself.
  static void cleanup(void* data) {
    NodeConnection& self = of(data);
    if (self.socket_.is_open()) self.socket_.release();
    self.context_ = nullptr;
    ++self.generation_;
    self.lost_.cancel();
  }
  static void connected(const redisAsyncContext* context, int status) {
    if (status != REDIS_OK)
      of(context->ev.data).last_error_ = of(context->ev.data).unreachable(context->c.errstr);
  }
  static void answered(redisAsyncContext* context, void* answer, void*) {
    NodeConnection& self = of(context->ev.data);
    if (self.sent_.empty()) return;
    Sent sent = std::move(self.sent_.front());
    self.sent_.pop_front();
    if (answer == nullptr) {
      const bool was_connected = (context->c.flags & REDIS_CONNECTED) != 0;
      if (context->c.err != 0 && was_connected) {
        self.last_error_ = self.unreachable(std::string{"connection lost: "} + context->c.errstr);
      }
      if (!sent.waiter) return;
      if (!was_connected) {
        self.finish(std::move(sent.waiter), {self.last_error_});
        return;
      }
      self.finish(
          std::move(sent.waiter),
          {Error{Errc::timed_out, "Redis at " + self.name_ + ": the connection was lost before the answer",
                 "repeat the call", true},
           true});
      return;
    }
    self.last_answer_ = std::chrono::steady_clock::now();
    if (!sent.waiter && !sent.is_preamble) return;
    Reply reply = copy_reply(*static_cast<const redisReply*>(answer));
    if (sent.is_preamble) {
      self.check_preamble(reply);
    } else {
      self.finish(std::move(sent.waiter), {std::move(reply)});
    }
  }
};

template <class Handler>
struct NodeConnection::HandlerWaiter final : Waiter {
  explicit HandlerWaiter(Handler h) : handler(std::move(h)) {}
  void complete(CallResult result) override {
    auto executor = asio::get_associated_executor(handler);
    asio::dispatch(executor, [h = std::move(handler), r = std::move(result)]() mutable { h(std::move(r)); });
  }
  Handler handler;
};

std::shared_ptr<NodeConnection> NodeConnection::open(asio::any_io_executor loop, Locate locate,
                                                     ConnectionOptions options) {
  ignore_broken_pipes();
  std::shared_ptr<NodeConnection> connection{new NodeConnection{loop, std::move(locate), std::move(options)}};
  asio::co_spawn(loop, keep_up(connection), asio::detached);
  return connection;
}

std::shared_ptr<NodeConnection> NodeConnection::open(asio::any_io_executor loop, const ServerAddress& address,
                                                     ConnectionOptions options) {
  auto connection = open(
      std::move(loop), [address] { return always(address); }, std::move(options));
  connection->name_ = address.to_string();
  return connection;
}

NodeConnection::NodeConnection(asio::any_io_executor loop, Locate locate, ConnectionOptions options)
    : loop_(loop),
      locate_(std::move(locate)),
      options_(std::move(options)),
      socket_(loop),
      deadline_(loop),
      lost_(loop),
      back_off_(loop) {}

NodeConnection::~NodeConnection() {
  is_closed_ = true;
  // Waiters that are left belong to coroutines that go with their loop.
  for (Sent& sent : sent_) sent.waiter.reset();
  if (context_ != nullptr) redisAsyncFree(context_);
}

Error NodeConnection::unreachable(const std::string& why) const {
  return {Errc::unavailable, "cannot reach Redis at " + name_ + " (" + why + ")",
          "start it, or set redis.url, redis.cluster or redis.sentinel", true};
}

// --- keeping the connection up -------------------------------------------------

Async<void> NodeConnection::keep_up(std::shared_ptr<NodeConnection> self) {
  int failures = 0;
  while (!self->is_closed_) {
    const auto begun = std::chrono::steady_clock::now();
    self->is_down_ = self->is_ready_ = false;
    auto address = co_await self->locate_();
    if (self->is_closed_) co_return;
    if (!address) {
      self->last_error_ = address.error();
    } else {
      self->name_ = address->to_string();
      auto ip = co_await self->resolve(*address);
      if (self->is_closed_) co_return;
      if (!ip) {
        self->last_error_ = ip.error();
      } else {
        self->connect(*address, *ip);
        if (self->context_ != nullptr) {
          self->lost_.expires_at(SteadyTime::max());
          co_await wait_for(self->lost_);
          if (self->is_closed_) co_return;
        }
      }
    }
    if (self->is_ready_ && std::chrono::steady_clock::now() - begun >= kStable) {
      failures = 0;
      continue;  // most likely a restart or a failover: try at once
    }
    self->is_down_ = true;
    self->fail_unsent(self->last_error_);
    Duration wait = kFirstBackOff;
    for (int i = 0; i < failures && wait < kLongestBackOff; ++i) wait *= 2;
    wait = std::min(wait, kLongestBackOff);
    ++failures;
    std::uniform_int_distribution<std::int64_t> jitter{wait.count() / 2, wait.count()};
    self->back_off_.expires_after(Duration{jitter(self->random_)});
    co_await wait_for(self->back_off_);
  }
}

Async<Result<std::string>> NodeConnection::resolve(const ServerAddress& address) {
  ErrorCode failed;
  asio::ip::make_address(address.host, failed);
  if (!failed) co_return address.host;
  // hiredis would block the loop for the name server. The resolver has a thread.
  const auto resolver = std::make_shared<asio::ip::tcp::resolver>(loop_);
  asio::steady_timer limit{loop_, options_.timeout};
  limit.async_wait([resolver](ErrorCode stopped) {
    if (!stopped) resolver->cancel();
  });
  auto found =
      co_await resolver->async_resolve(address.host, "", asio::redirect_error(asio::use_awaitable, failed));
  if (failed || found.empty()) co_return unreachable("the name cannot be resolved: " + failed.message());
  co_return found.begin()->endpoint().address().to_string();
}

void NodeConnection::connect(const ServerAddress& address, const std::string& ip) {
  redisAsyncContext* context = redisAsyncConnect(ip.c_str(), address.port);
  if (context == nullptr || context->err != 0) {
    last_error_ = unreachable(context == nullptr ? "out of memory" : context->errstr);
    if (context != nullptr) redisAsyncFree(context);
    return;
  }
  context_ = context;
  ++generation_;
  reads_ = writes_ = is_flushing_ = false;
  socket_.assign(context->c.fd);
  context->ev.data = this;
  context->ev.addRead = Hooks::add_read;
  context->ev.delRead = Hooks::delete_read;
  context->ev.addWrite = Hooks::add_write;
  context->ev.delWrite = Hooks::delete_write;
  context->ev.cleanup = Hooks::cleanup;
  last_answer_ = std::chrono::steady_clock::now();
  redisAsyncSetConnectCallback(context, Hooks::connected);
  send_preamble();
  for (Unsent& unsent : std::exchange(unsent_, {})) {
    if (unsent.asking) write(encode_command({"ASKING"}), nullptr, unsent.deadline);
    write(unsent.command, std::move(unsent.waiter), unsent.deadline);
  }
}

void NodeConnection::send_preamble() {
  const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  const Login& login = options_.login;
  if (!login.password.empty()) {
    write(login.user.empty() ? encode_command({"AUTH", login.password})
                             : encode_command({"AUTH", login.user, login.password}),
          nullptr, deadline, true);
  }
  if (login.db != 0) write(encode_command({"SELECT", std::to_string(login.db)}), nullptr, deadline, true);
  if (options_.must_be_master) write(encode_command({"ROLE"}), nullptr, deadline, true);
  if (options_.loads_scripts) {
    for (const Script& script : all_scripts())
      write(encode_command({"SCRIPT", "LOAD", script.source}), nullptr, deadline);
  }
  write(encode_command({"PING"}), nullptr, deadline, true);
}

void NodeConnection::check_preamble(const Reply& reply) {
  if (reply.kind == Reply::Kind::error) {
    last_error_ = translate_error(reply, name_);
  } else if (reply.kind == Reply::Kind::array && !reply.items.empty() && reply.items[0].text != "master") {
    last_error_ = unreachable("it is a " + reply.items[0].text + " and not the master");
  } else {
    if (reply.text == "PONG") is_ready_ = true;
    return;
  }
  // Not from within hiredis' callback.
  asio::post(loop_, [self = shared_from_this(), generation = generation_, error = last_error_] {
    if (generation != self->generation_) return;
    for (Sent& sent : self->sent_)
      if (sent.waiter) self->finish(std::move(sent.waiter), {error});
    self->drop();
    self->last_error_ = error;
  });
}

void NodeConnection::drop() {
  if (context_ != nullptr) redisAsyncFree(context_);
}

void NodeConnection::reconnect() {
  if (context_ != nullptr) {
    last_error_ = unreachable("looking for the master");
    drop();
  }
}

void NodeConnection::close() {
  if (is_closed_) return;
  is_closed_ = true;
  last_error_ = Error{Errc::unavailable, "the connection to Redis at " + name_ + " was closed", "", true};
  drop();
  fail_unsent(last_error_);
  lost_.cancel();
  back_off_.cancel();
  deadline_.cancel();
}

// --- sending and answering -------------------------------------------------------

Async<CallResult> NodeConnection::call(std::string command, bool asking) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void(CallResult)>(
      [](auto handler, std::shared_ptr<NodeConnection> self, std::string wire, bool is_asking) {
        auto waiter = std::make_unique<HandlerWaiter<decltype(handler)>>(std::move(handler));
        self->send(std::move(wire), is_asking, std::move(waiter));
      },
      asio::use_awaitable, shared_from_this(), std::move(command), asking);
}

void NodeConnection::send(std::string command, bool asking, std::unique_ptr<Waiter> waiter) {
  if (is_closed_ || is_down_) {
    finish(std::move(waiter), {last_error_});
    return;
  }
  const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  if (context_ == nullptr) {
    unsent_.push_back({std::move(command), asking, std::move(waiter), deadline});
    arm_deadline();
    return;
  }
  if (asking) write(encode_command({"ASKING"}), nullptr, deadline);
  write(command, std::move(waiter), deadline);
}

void NodeConnection::write(const std::string& command, std::unique_ptr<Waiter> waiter, SteadyTime deadline,
                           bool is_preamble) {
  sent_.push_back({std::move(waiter), deadline, is_preamble});
  if (context_ == nullptr || redisAsyncFormattedCommand(context_, Hooks::answered, nullptr, command.data(),
                                                        command.size()) != REDIS_OK) {
    Sent sent = std::move(sent_.back());
    sent_.pop_back();
    if (sent.waiter) finish(std::move(sent.waiter), {last_error_});
    return;
  }
  arm_deadline();
}

void NodeConnection::wait_readable() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this(), generation = generation_](ErrorCode failed) {
                       if (failed || generation != self->generation_ || self->context_ == nullptr) return;
                       self->reads_ = false;
                       redisAsyncHandleRead(self->context_);
                       self->deliver();
                     });
}

void NodeConnection::wait_writable() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                     [self = shared_from_this(), generation = generation_](ErrorCode failed) {
                       if (failed || generation != self->generation_ || self->context_ == nullptr) return;
                       self->flush();
                     });
}

void NodeConnection::flush() {
  writes_ = false;
  is_flushing_ = true;
  redisAsyncHandleWrite(context_);
  is_flushing_ = false;
  deliver();
}

void NodeConnection::finish(std::unique_ptr<Waiter> waiter, CallResult result) {
  finished_.emplace_back(std::move(waiter), std::move(result));
  if (std::exchange(is_delivering_, true)) return;
  // deliver() is called when hiredis is done; this is for all other ways here.
  asio::post(loop_, [self = shared_from_this()] { self->deliver(); });
}

// Outside of hiredis, since callers may go on to do anything.
void NodeConnection::deliver() {
  is_delivering_ = false;
  const auto self = shared_from_this();
  for (auto& [waiter, result] : std::exchange(finished_, {})) waiter->complete(std::move(result));
}

void NodeConnection::fail_unsent(const Error& error) {
  for (Unsent& unsent : std::exchange(unsent_, {})) finish(std::move(unsent.waiter), {error});
}

// --- deadlines -------------------------------------------------------------------

void NodeConnection::arm_deadline() {
  if (is_armed_ || is_closed_) return;
  SteadyTime next = SteadyTime::max();
  if (!sent_.empty()) {
    const auto waited_for =
        std::ranges::find_if(sent_, [](const Sent& sent) { return sent.waiter != nullptr; });
    next = waited_for != sent_.end() ? waited_for->deadline : sent_.front().deadline;
  }
  if (!unsent_.empty()) next = std::min(next, unsent_.front().deadline);
  if (next == SteadyTime::max()) return;
  is_armed_ = true;
  deadline_.expires_at(next);
  deadline_.async_wait([weak = weak_from_this()](ErrorCode stopped) {
    const auto self = weak.lock();
    if (!self || stopped) return;
    self->is_armed_ = false;
    self->check_deadlines();
    self->arm_deadline();
  });
}

void NodeConnection::check_deadlines() {
  const auto now = std::chrono::steady_clock::now();
  const Error late{Errc::timed_out, "Redis at " + name_ + ": no answer in time",
                   "look at the server's load, or raise redis.timeout", true};
  while (!unsent_.empty() && unsent_.front().deadline <= now) {
    finish(std::move(unsent_.front().waiter), {unreachable("no connection in time")});
    unsent_.erase(unsent_.begin());
  }
  bool is_late = false;
  for (Sent& sent : sent_) {
    if (sent.deadline > now && sent.waiter) break;
    if (sent.deadline > now) continue;
    is_late = true;
    sent.deadline = now + options_.timeout;  // the answer may come yet, for nobody
    if (sent.waiter) finish(std::move(sent.waiter), {late});
  }
  // Silent for so long: the peer is gone, stopped or stuck. Another connection
  // may do better, and calls fail fast meanwhile.
  if (is_late && now - last_answer_ >= options_.timeout) {
    last_error_ = unreachable("no answer in time");
    is_ready_ = false;
    drop();
  }
}

}  // namespace flux::redis
