// Redis Cluster: the slot map, and what to do when it has changed.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <optional>

#include "common/engines/distributed/redis/node_connection.hpp"
#include "common/engines/distributed/redis/topology.hpp"
#include "common/ports/key_slot.hpp"

namespace flux::redis {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr Duration kRefreshAtMost = 100ms;  // apart

class Cluster final : public Topology, public std::enable_shared_from_this<Cluster> {
 public:
  Cluster(asio::any_io_executor loop, std::vector<ServerAddress> seeds, ConnectionOptions options)
      : loop_(loop),
        seeds_(std::move(seeds)),
        options_(std::move(options)),
        refreshed_(loop),
        slots_(kHashSlots) {}

  Async<Result<Reply>> send(std::string key, std::string command) override {
    return route(shared_from_this(), key_slot(key), std::move(command));
  }
  bool is_cluster() const override { return true; }
  std::string where() const override { return "cluster of " + seeds_[0].to_string(); }
  void close() override {
    is_closed_ = true;
    for (auto& [name, node] : nodes_) node->close();
    nodes_.clear();
    std::ranges::fill(slots_, nullptr);
    refreshed_.cancel();
  }

 private:
  using Node = std::shared_ptr<NodeConnection>;

  Node node_at(const ServerAddress& address) {
    Node& node = nodes_[address.to_string()];
    if (!node) node = NodeConnection::open(loop_, address, options_);
    return node;
  }

  static Async<void> pause(std::shared_ptr<Cluster> self, Duration time) {
    asio::steady_timer timer{self->loop_, time};
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }

  static Async<Result<Reply>> route(std::shared_ptr<Cluster> self, std::uint16_t slot, std::string command) {
    const auto deadline = std::chrono::steady_clock::now() + self->options_.timeout;
    Error failed{Errc::unavailable,
                 "no node of the Redis " + self->where() + " owns slot " + std::to_string(slot),
                 "look at CLUSTER INFO", true};
    Node asked;  // set: the slot is moving, this one command goes there
    for (int attempt = 0; attempt < 16 && !self->is_closed_; ++attempt) {
      if (attempt > 0 && std::chrono::steady_clock::now() >= deadline) break;
      Node node = asked ? asked : self->slots_[slot];
      if (!node) {
        auto refreshed = co_await refresh(self);
        if (!refreshed) co_return refreshed.error();
        node = self->slots_[slot];
        if (!node) co_return failed;
      }
      const bool is_asking = asked != nullptr;
      asked = nullptr;
      auto result = co_await node->call(command, is_asking);
      if (!result.reply) {
        failed = result.reply.error();
        const bool may_be_elsewhere = result.was_lost || failed.code == Errc::unavailable;
        if (!may_be_elsewhere || self->is_closed_) co_return failed;
        auto refreshed = co_await refresh(self);
        if (!result.was_lost && (!refreshed || self->slots_[slot] == node)) co_return failed;
        continue;
      }
      const Reply& reply = *result.reply;
      if (reply.is_error("MOVED") || reply.is_error("ASK")) {
        auto target = redirected(reply.text, node->name());
        if (!target) co_return target.error();
        asked = self->node_at(*target);
        if (reply.is_error("ASK")) continue;
        self->slots_[slot] = std::exchange(asked, nullptr);
        asio::co_spawn(self->loop_, refresh_later(self), asio::detached);
        continue;
      }
      if (reply.is_error("TRYAGAIN") || reply.is_error("CLUSTERDOWN") || reply.is_error("READONLY")) {
        failed = translate_error(reply, node->name());
        co_await pause(self, 10ms * (attempt + 1));
        if (!reply.is_error("TRYAGAIN")) (void)co_await refresh(self);
        continue;
      }
      co_return std::move(result.reply);
    }
    co_return failed;
  }

  // "MOVED 3999 127.0.0.1:6381"; an empty host is the one that answered.
  static Result<ServerAddress> redirected(const std::string& text, const std::string& from) {
    std::string target = text.substr(text.rfind(' ') + 1);
    if (target.starts_with(':')) target = from.substr(0, from.rfind(':')) + target;
    return parse_address(target);
  }

  static Async<void> refresh_later(std::shared_ptr<Cluster> self) { (void)co_await refresh(self); }

  // One at a time; others wait for it and share its outcome.
  static Async<Result<>> refresh(std::shared_ptr<Cluster> self) {
    if (self->is_refreshing_) {
      boost::system::error_code ignored;
      co_await self->refreshed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      co_return self->last_refresh_;
    }
    if (std::chrono::steady_clock::now() < self->next_refresh_) co_return self->last_refresh_;
    self->is_refreshing_ = true;
    self->refreshed_.expires_at(SteadyTime::max());
    self->last_refresh_ =
        Error{Errc::unavailable, "no node of the Redis cluster is known", "set redis.cluster"};
    std::vector<Node> candidates;
    for (auto& [name, node] : self->nodes_) candidates.push_back(node);
    std::shuffle(candidates.begin(), candidates.end(), self->random_);
    for (const ServerAddress& seed : self->seeds_)
      if (!self->nodes_.contains(seed.to_string())) candidates.push_back(self->node_at(seed));
    for (const Node& node : candidates) {
      if (self->is_closed_) break;
      std::string question = encode_command({"CLUSTER", "SLOTS"});
      auto answer = co_await node->call(std::move(question));
      self->last_refresh_ = answer.reply ? self->take_map(*answer.reply, node->name()) : answer.reply.error();
      if (self->last_refresh_) break;
    }
    self->next_refresh_ = std::chrono::steady_clock::now() + kRefreshAtMost;
    self->is_refreshing_ = false;
    self->refreshed_.cancel();
    co_return self->last_refresh_;
  }

  Result<> take_map(const Reply& reply, const std::string& from) {
    if (reply.kind == Reply::Kind::error) return translate_error(reply, from);
    if (reply.kind != Reply::Kind::array || reply.items.empty()) {
      return Error{Errc::unavailable, "the Redis node at " + from + " knows no slots", "create the cluster",
                   true};
    }
    std::vector<Node> slots(kHashSlots);
    std::map<std::string, Node> known;
    for (const Reply& range : reply.items) {
      if (range.items.size() < 3 || range.items[2].items.size() < 2) return unexpected_reply("CLUSTER SLOTS");
      const auto first = range.items[0].to_integer(), last = range.items[1].to_integer();
      std::string host = range.items[2].items[0].text;
      if (host.empty() || host == "?") host = from.substr(0, from.rfind(':'));
      const ServerAddress address{host, static_cast<int>(range.items[2].items[1].to_integer())};
      if (first < 0 || last >= static_cast<std::int64_t>(kHashSlots) || first > last)
        return unexpected_reply("CLUSTER SLOTS");
      const Node node = node_at(address);
      known[address.to_string()] = node;
      std::fill(slots.begin() + first, slots.begin() + last + 1, node);
    }
    slots_ = std::move(slots);
    for (auto& [name, node] : nodes_)
      if (!known.contains(name)) node->close();  // its calls, if any, find their new place
    nodes_ = std::move(known);
    return {};
  }

  asio::any_io_executor loop_;
  const std::vector<ServerAddress> seeds_;
  const ConnectionOptions options_;
  asio::steady_timer refreshed_;
  std::vector<Node> slots_;
  std::map<std::string, Node> nodes_;
  bool is_refreshing_ = false, is_closed_ = false;
  Result<> last_refresh_{};
  SteadyTime next_refresh_{};
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace

Result<std::shared_ptr<Topology>> open_cluster(const RedisOptions& options, asio::any_io_executor loop) {
  ConnectionOptions connection{.login = {}, .timeout = options.timeout};
  if (!options.url.empty()) {
    auto url = parse_url(options.url);
    if (!url) return url.error();
    connection.login = url->login;
    connection.login.db = 0;  // a cluster has one database
  }
  std::vector<ServerAddress> seeds;
  for (const std::string& node : options.cluster) {
    auto address = parse_address(node);
    if (!address) return address.error();
    seeds.push_back(*address);
  }
  return std::shared_ptr<Topology>{
      std::make_shared<Cluster>(std::move(loop), std::move(seeds), std::move(connection))};
}

}  // namespace flux::redis
