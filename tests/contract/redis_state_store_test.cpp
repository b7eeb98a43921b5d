// The state store contract over one Redis server; and servers that are killed,
// stopped, emptied or fail over.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>

#include "common/engines/distributed/redis/node_connection.hpp"
#include "tests/contract/redis_store_engine.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace flux::testing {
namespace {

using redis::NodeConnection;

INSTANTIATE_TEST_SUITE_P(Redis, StateStoreContract, ::testing::Values([] {
                           return std::make_unique<RedisEngine>("FLUX_REDIS_URL", false);
                         }),
                         [](const auto&) { return "Engine"; });

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(socket);
  return ntohs(address.sin_port);
}

// A server of the test's own, which it may kill.
class OwnRedis {
 public:
  explicit OwnRedis(std::vector<std::string> settings = {})
      : settings_(std::move(settings)), port_(free_port()) {}
  ~OwnRedis() { end(SIGKILL); }

  void start() {
    std::vector<std::string> words{"redis-server",    "--port",    std::to_string(port_),
                                   "--bind",          "127.0.0.1", "--dir",
                                   directory_.path(), "--save",    ""};
    words.insert(words.end(), settings_.begin(), settings_.end());
    process_ = ::fork();
    if (process_ != 0) return;
    const int log = ::open((directory_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(log, 1);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  void end(int signal) {
    if (process_ <= 0) return;
    ::kill(process_, signal);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }
  void signal(int number) const { ::kill(process_, number); }
  redis::RedisOptions options(const std::string& login = {}) const {
    redis::RedisOptions options;
    options.url = "redis://" + login + "127.0.0.1:" + std::to_string(port_);
    options.timeout = 1s;
    return options;
  }
  redis::ServerAddress address() const { return {"127.0.0.1", port_}; }

 private:
  ScratchDirectory directory_;
  std::vector<std::string> settings_;
  int port_;
  pid_t process_ = 0;
};

class RedisFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("redis-server --version > /dev/null 2>&1") == 0) return;
    if (std::getenv("FLUX_REQUIRE_LIVE") != nullptr) FAIL() << "redis-server is not installed";
    GTEST_SKIP() << "redis-server is not installed; scripts/setup";
  }
  std::unique_ptr<StateStore> open(const redis::RedisOptions& options) {
    return redis::open_state_store(options, runner_.executor()).value();
  }
  Result<Reservation> reserve(StateStore& store) {
    return runner_.run(store.reserve({new_uuid(), "p", 1, system_clock().wall()}));
  }
  // Repeats until it works, as callers do.
  bool works_again(StateStore& store) {
    return eventually(15s, [&] { return runner_.run(store.ping()).has_value(); });
  }
  Duration time_of(const std::function<void()>& work) {
    const auto begun = std::chrono::steady_clock::now();
    work();
    return std::chrono::steady_clock::now() - begun;
  }
  AsyncRunner runner_;
};

TEST_F(RedisFaults, ReconnectsToAServerThatWasKilledAndStartedAgain) {
  OwnRedis server{{"--appendonly", "yes", "--appendfsync", "always"}};
  server.start();
  auto store = open(server.options());
  ASSERT_TRUE(works_again(*store));
  ASSERT_TRUE(runner_.run(store->put_product("p", 100, 1)));
  ASSERT_TRUE(reserve(*store));
  for (int kill = 0; kill < 3; ++kill) {
    server.end(SIGKILL);
    Result<Reservation> failed = reserve(*store);
    ASSERT_FALSE(failed);
    EXPECT_TRUE(failed.error().code == Errc::unavailable || failed.error().code == Errc::timed_out);
    EXPECT_TRUE(failed.error().retryable);
    for (int i = 0; i < 5; ++i) {
      EXPECT_LT(time_of([&] { failed = reserve(*store); }), 200ms);  // fails fast
      ASSERT_FALSE(failed);
      EXPECT_EQ(failed.error().code, Errc::unavailable) << failed.error().one_line();
    }
    server.start();
    ASSERT_TRUE(works_again(*store));
    ASSERT_TRUE(reserve(*store));  // the scripts are there again
  }
  EXPECT_EQ(runner_.run(store->get_product("p")).value().reserved, 4);
}

TEST_F(RedisFaults, CallsInFlightWhenTheServerDiesAllComplete) {
  OwnRedis server;
  server.start();
  auto store = open(server.options());
  ASSERT_TRUE(works_again(*store));
  ASSERT_TRUE(runner_.run(store->put_product("p", 1'000'000, 1)));
  int running = 300, failed = 0;
  const auto one = [&]() -> boost::asio::awaitable<void> {
    for (int i = 0; i < 1'000'000; ++i) {
      const ReserveRequest request{new_uuid(), "p", 1, system_clock().wall()};
      auto got = co_await store->reserve(request);
      if (got) continue;
      ++failed;
      break;
    }
    --running;
  };
  for (int i = 0; i < 300; ++i) boost::asio::co_spawn(runner_.loop(), one(), [](std::exception_ptr) {});
  runner_.run_until([] { return false; }, 100ms);
  server.end(SIGKILL);
  EXPECT_TRUE(runner_.run_until([&] { return running == 0; }, 5s));
  EXPECT_EQ(failed, 300);
}

TEST_F(RedisFaults, IsNotRestoredAfterTheServerLostItsData) {
  OwnRedis server{{"--appendonly", "no"}};
  server.start();
  auto store = open(server.options());
  ASSERT_TRUE(works_again(*store));
  ASSERT_TRUE(runner_.run(store->mark_restored()));
  EXPECT_TRUE(runner_.run(store->is_restored()).value());
  const auto lease = runner_.run(store->acquire_lease("l", "a", 1h)).value();
  server.end(SIGKILL);
  server.start();
  ASSERT_TRUE(works_again(*store));
  EXPECT_FALSE(runner_.run(store->is_restored()).value());
  EXPECT_GT(runner_.run(store->acquire_lease("l", "b", 1h)).value()->token, lease->token);
}

TEST_F(RedisFaults, StoppedServerTimesOutAndIsUsedAgainWhenItGoesOn) {
  OwnRedis server;
  server.start();
  auto store = open(server.options());
  ASSERT_TRUE(works_again(*store));
  ASSERT_TRUE(runner_.run(store->put_product("p", 5, 1)));
  server.signal(SIGSTOP);
  Result<> pinged;
  EXPECT_LT(time_of([&] { pinged = runner_.run(store->ping()); }), 3s);
  ASSERT_FALSE(pinged);
  EXPECT_EQ(pinged.error().code, Errc::timed_out);
  server.signal(SIGCONT);
  ASSERT_TRUE(works_again(*store));
  EXPECT_TRUE(reserve(*store));
}

TEST_F(RedisFaults, FlushedScriptsAreLoadedAgain) {
  OwnRedis server;
  server.start();
  auto store = open(server.options());
  ASSERT_TRUE(works_again(*store));
  ASSERT_TRUE(runner_.run(store->put_product("p", 5, 1)));
  const auto raw = NodeConnection::open(runner_.executor(), server.address(), {});
  const auto flushed = runner_.run(raw->call(redis::encode_command({"SCRIPT", "FLUSH"})));
  ASSERT_TRUE(flushed.reply);
  EXPECT_TRUE(reserve(*store));
  raw->close();
}

TEST_F(RedisFaults, LogsInAndNeverRepeatsThePassword) {
  OwnRedis server{{"--requirepass", "s3cret/:@"}};
  server.start();
  auto store = open(server.options(":s3cret%2F%3A%40@"));
  EXPECT_TRUE(works_again(*store));
  auto other = open(server.options("default:wr0ng@"));
  Result<> refused;
  ASSERT_TRUE(eventually(5s, [&] {
    refused = runner_.run(other->ping());
    return !refused && refused.error().code == Errc::unauthorized;
  }));
  EXPECT_EQ(refused.error().one_line().find("wr0ng"), std::string::npos);
  const auto bad = redis::open_state_store({.url = "rediss://u:wr0ng@h:1"}, runner_.executor());
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::invalid_argument);
  EXPECT_EQ(bad.error().one_line().find("wr0ng"), std::string::npos);
}

TEST_F(RedisFaults, SentinelNamesTheMasterAlsoAfterAFailover) {
  const char* sentinel = std::getenv("FLUX_REDIS_SENTINEL");
  const char* master = std::getenv("FLUX_REDIS_SENTINEL_MASTER");
  if (sentinel == nullptr || master == nullptr) {
    if (std::getenv("FLUX_REQUIRE_LIVE") != nullptr) FAIL() << "FLUX_REDIS_SENTINEL is not set";
    GTEST_SKIP() << "FLUX_REDIS_SENTINEL is not set; scripts/servers start sentinel";
  }
  redis::RedisOptions options;
  options.url = "";
  options.sentinel_master = master;
  options.sentinels = {"127.0.0.1:1", sentinel};  // the first is not there
  options.prefix = "test-" + new_uuid().to_string() + ":";
  auto store = open(options);
  ASSERT_TRUE(works_again(*store));
  ASSERT_TRUE(runner_.run(store->put_product("p", 5, 1)));
  const auto raw =
      NodeConnection::open(runner_.executor(), *redis::parse_address(sentinel), {.loads_scripts = false});
  const auto asked = [&](const std::vector<std::string_view>& words) {
    return runner_.run(raw->call(redis::encode_command(words))).reply.value();
  };
  const auto before = asked({"SENTINEL", "get-master-addr-by-name", master});
  ASSERT_TRUE(eventually(20s, [&] { return asked({"SENTINEL", "failover", master}).text == "OK"; }));
  ASSERT_TRUE(eventually(30s, [&] {
    return asked({"SENTINEL", "get-master-addr-by-name", master}).items.at(1).text != before.items.at(1).text;
  }));
  ASSERT_TRUE(works_again(*store));
  EXPECT_TRUE(eventually(10s, [&] { return reserve(*store).has_value(); }));
  raw->close();
}

}  // namespace
}  // namespace flux::testing
