// One server, or the master that Sentinel names.
#include <algorithm>

#include "common/engines/distributed/redis/node_connection.hpp"
#include "common/engines/distributed/redis/topology.hpp"

namespace flux::redis {
namespace {

namespace asio = boost::asio;

// Asks one sentinel after the other; the one that answered is asked first next time.
class MasterSearch : public std::enable_shared_from_this<MasterSearch> {
 public:
  MasterSearch(asio::any_io_executor loop, std::string master, std::vector<ServerAddress> sentinels,
               Duration timeout)
      : loop_(std::move(loop)),
        master_(std::move(master)),
        sentinels_(std::move(sentinels)),
        timeout_(timeout) {}

  static Async<Result<ServerAddress>> find(std::shared_ptr<MasterSearch> self) {
    Error failed{Errc::unavailable, "no sentinel is configured", "set redis.sentinel.nodes"};
    for (std::size_t i = 0; i < self->sentinels_.size(); ++i) {
      const ConnectionOptions options{.login = {}, .timeout = self->timeout_, .loads_scripts = false};
      const auto sentinel = NodeConnection::open(self->loop_, self->sentinels_[i], options);
      std::string question = encode_command({"SENTINEL", "get-master-addr-by-name", self->master_});
      auto answer = co_await sentinel->call(std::move(question));
      sentinel->close();
      if (!answer.reply) {
        failed = answer.reply.error();
        continue;
      }
      const Reply& reply = *answer.reply;
      if (reply.kind != Reply::Kind::array || reply.items.size() != 2) {
        failed = {Errc::unavailable,
                  "the sentinel at " + self->sentinels_[i].to_string() + " knows no master " + self->master_,
                  "set redis.sentinel.master", true};
        continue;
      }
      std::swap(self->sentinels_[0], self->sentinels_[i]);
      co_return ServerAddress{reply.items[0].text, static_cast<int>(reply.items[1].to_integer())};
    }
    co_return failed;
  }

 private:
  asio::any_io_executor loop_;
  std::string master_;
  std::vector<ServerAddress> sentinels_;
  Duration timeout_;
};

class SingleServer final : public Topology, public std::enable_shared_from_this<SingleServer> {
 public:
  SingleServer(std::shared_ptr<NodeConnection> connection, bool has_sentinels)
      : connection_(std::move(connection)), has_sentinels_(has_sentinels) {}

  Async<Result<Reply>> send(std::string key, std::string command) override {
    (void)key;
    return send_to(shared_from_this(), std::move(command));
  }
  bool is_cluster() const override { return false; }
  std::string where() const override { return connection_->name(); }
  void close() override { connection_->close(); }

 private:
  static Async<Result<Reply>> send_to(std::shared_ptr<SingleServer> self, std::string command) {
    auto result = co_await self->connection_->call(command);
    // All commands may be repeated; once is enough to get over a restart.
    if (result.was_lost) result = co_await self->connection_->call(command);
    if (self->has_sentinels_ && result.reply && result.reply->is_error("READONLY")) {
      self->connection_->reconnect();
      result = co_await self->connection_->call(std::move(command));
    }
    co_return std::move(result.reply);
  }

  std::shared_ptr<NodeConnection> connection_;
  bool has_sentinels_;
};

}  // namespace

Result<std::shared_ptr<Topology>> open_single(const RedisOptions& options, asio::any_io_executor loop) {
  // Through Sentinel only the login of the URL counts, so it may be left out.
  const bool needs_url = options.sentinel_master.empty() || !options.url.empty();
  auto url = needs_url ? parse_url(options.url) : Result<RedisUrl>{RedisUrl{}};
  if (!url) return url.error();
  const ConnectionOptions connection{
      .login = url->login, .timeout = options.timeout, .must_be_master = !options.sentinel_master.empty()};
  if (options.sentinel_master.empty()) {
    return std::shared_ptr<Topology>{std::make_shared<SingleServer>(
        NodeConnection::open(std::move(loop), url->address, connection), false)};
  }
  std::vector<ServerAddress> sentinels;
  for (const std::string& node : options.sentinels) {
    auto address = parse_address(node);
    if (!address) return address.error();
    sentinels.push_back(*address);
  }
  const auto search =
      std::make_shared<MasterSearch>(loop, options.sentinel_master, std::move(sentinels),
                                     std::min<Duration>(options.timeout, std::chrono::seconds{1}));
  return std::shared_ptr<Topology>{std::make_shared<SingleServer>(
      NodeConnection::open(
          std::move(loop), [search] { return MasterSearch::find(search); }, connection),
      true)};
}

}  // namespace flux::redis
