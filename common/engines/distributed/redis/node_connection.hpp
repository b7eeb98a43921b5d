#pragma once
// One connection to one Redis server, kept up in the background. Commands that
// are sent in one turn of the loop are written together; their answers come in
// order. While the server is down, calls fail at once.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/engines/distributed/redis/reply.hpp"
#include "common/engines/distributed/redis/server_address.hpp"
#include "common/ports/state_store.hpp"

struct redisAsyncContext;

namespace flux::redis {

struct CallResult {
  Result<Reply> reply;
  bool was_lost = false;  // the connection went before the answer came: the effect is unknown
};

struct ConnectionOptions {
  Login login{};
  Duration timeout = std::chrono::seconds{2};
  bool must_be_master = false;  // refuses to talk to a replica (Sentinel's view may be old)
  bool loads_scripts = true;
};

class NodeConnection : public std::enable_shared_from_this<NodeConnection> {
 public:
  // Says where to connect; asked before every attempt.
  using Locate = std::function<Async<Result<ServerAddress>>()>;
  static std::shared_ptr<NodeConnection> open(boost::asio::any_io_executor loop, Locate locate,
                                              ConnectionOptions options);
  static std::shared_ptr<NodeConnection> open(boost::asio::any_io_executor loop, const ServerAddress& address,
                                              ConnectionOptions options);
  ~NodeConnection();

  // `asking`: the command goes behind an ASKING, as Cluster wants while a slot moves.
  Async<CallResult> call(std::string command, bool asking = false);
  void reconnect();                                  // asks again where to
  void close();                                      // fails what waits; nothing happens afterwards
  const std::string& name() const { return name_; }  // where it is or was last

 private:
  struct Waiter {
    virtual ~Waiter() = default;
    virtual void complete(CallResult result) = 0;
  };
  template <class Handler>
  struct HandlerWaiter;
  struct Sent {
    std::unique_ptr<Waiter> waiter;  // null: nobody waits (any more)
    SteadyTime deadline;
    bool is_preamble = false;
  };
  struct Unsent {
    std::string command;
    bool asking = false;
    std::unique_ptr<Waiter> waiter;
    SteadyTime deadline;
  };
  struct Hooks;  // what hiredis calls

  NodeConnection(boost::asio::any_io_executor loop, Locate locate, ConnectionOptions options);
  static Async<void> keep_up(std::shared_ptr<NodeConnection> self);
  Async<Result<std::string>> resolve(const ServerAddress& address);
  void connect(const ServerAddress& address, const std::string& ip);
  void send_preamble();
  void check_preamble(const Reply& reply);
  void send(std::string command, bool asking, std::unique_ptr<Waiter> waiter);
  void write(const std::string& command, std::unique_ptr<Waiter> waiter, SteadyTime deadline,
             bool is_preamble = false);
  void drop();
  void finish(std::unique_ptr<Waiter> waiter, CallResult result);
  void deliver();
  void arm_deadline();
  void check_deadlines();
  void fail_unsent(const Error& error);
  Error unreachable(const std::string& why) const;
  void wait_readable();
  void wait_writable();
  void flush();

  boost::asio::any_io_executor loop_;
  Locate locate_;
  const ConnectionOptions options_;
  std::string name_ = "?";
  redisAsyncContext* context_ = nullptr;
  std::uint64_t generation_ = 0;  // of the context; late events of a former one are ignored
  boost::asio::posix::stream_descriptor socket_;
  bool reads_ = false, writes_ = false, is_flushing_ = false;
  std::deque<Sent> sent_;
  std::vector<Unsent> unsent_;  // while connecting
  std::vector<std::pair<std::unique_ptr<Waiter>, CallResult>> finished_;
  bool is_delivering_ = false;
  boost::asio::steady_timer deadline_;
  bool is_armed_ = false;
  boost::asio::steady_timer lost_;  // cancelled when the connection ends
  boost::asio::steady_timer back_off_;
  bool is_down_ = false, is_ready_ = false, is_closed_ = false;
  SteadyTime last_answer_{};
  Error last_error_{};
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace flux::redis
