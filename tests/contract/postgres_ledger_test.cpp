// The ledger contract over PostgreSQL, and what only a server can do wrong.

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "tests/contract/postgres_house.hpp"

namespace flux::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

INSTANTIATE_TEST_SUITE_P(, LedgerContract,
                         ::testing::Values(postgres_kind("Postgres", "FLUX_POSTGRES_URL", "postgres")),
                         kind_name);

class PostgresLedgerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    auto house = postgres_kind("", "FLUX_POSTGRES_URL", "postgres").build(why);
    house_.reset(static_cast<PostgresHouse*>(house.release()));
    const char* required = std::getenv("FLUX_REQUIRE_LIVE");
    if (house_ == nullptr && required != nullptr && std::string{required} == "1") FAIL() << why;
    if (house_ == nullptr) GTEST_SKIP() << why;
  }

  static std::unique_ptr<Ledger> open(const postgres::PostgresOptions& options) {
    auto ledger = postgres::open_ledger(options);
    if (!ledger) throw std::runtime_error(ledger.error().one_line());
    return std::move(*ledger);
  }

  std::unique_ptr<PostgresHouse> house_;
};

std::string run_command(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  std::string output;
  std::array<char, 4096> buffer{};
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.append(buffer.data(), n);
  if (::pclose(pipe) != 0) throw std::runtime_error(command + ": " + output);
  return output;
}

Order order_of(const std::string& product_id) {
  return {.id = new_uuid(), .product_id = product_id, .quantity = 1, .user_id = "u", .accepted_at = kNoon};
}

template <class Predicate>
bool eventually(Duration patience, Predicate predicate) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(milliseconds{20});
  }
  return true;
}

// A listener that accepts (the kernel does) and never says a word.
class MuteServer {
 public:
  MuteServer() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(socket_, 16) != 0)
      throw std::runtime_error("no listener");
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~MuteServer() { ::close(socket_); }
  std::string url() const { return "postgresql://someone:s3cret@127.0.0.1:" + std::to_string(port_) + "/db"; }

 private:
  int socket_;
  int port_ = 0;
};

TEST(PostgresLedgerFailures, GivesUpOnAServerThatNeverAnswers) {
  const MuteServer mute;
  const auto start = std::chrono::steady_clock::now();
  const auto ledger = postgres::open_ledger({.url = mute.url(), .timeout = milliseconds{300}});
  const auto took = std::chrono::steady_clock::now() - start;
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, Errc::unavailable);
  EXPECT_TRUE(ledger.error().retryable);
  EXPECT_THAT(ledger.error().one_line(), ::testing::Not(::testing::HasSubstr("s3cret")));
  EXPECT_GE(took, milliseconds{250});
  EXPECT_LT(took, seconds{5});
}

TEST(PostgresLedgerFailures, NamesWhatToDoWithoutThePassword) {
  struct Case {
    const char* url;
    Errc code;
  };
  for (const auto& [url, code] : {Case{"postgresql://u:s3cret@127.0.0.1:1/db", Errc::unavailable},
                                  Case{"postgresql://u:s3cret@127.0.0.1:port/db", Errc::invalid_argument},
                                  Case{"nonsense s3cret", Errc::invalid_argument}}) {
    const auto ledger = postgres::open_ledger({.url = url, .timeout = seconds{2}});
    ASSERT_FALSE(ledger);
    EXPECT_EQ(ledger.error().code, code) << ledger.error().one_line();
    EXPECT_THAT(ledger.error().one_line(), ::testing::Not(::testing::HasSubstr("s3cret")));
    EXPECT_FALSE(ledger.error().hint.empty());
  }
}

TEST_F(PostgresLedgerTest, StopsWaitingForALockAndKeepsTheConnection) {
  const auto ledger = open({.url = house_->url(), .pool = 1, .timeout = milliseconds{500}});
  ASSERT_TRUE(ledger->put_product({.product_id = "p", .stock = 5}));
  const auto held = ledger->claim_partition("inventory", {"orders", 0}).value();
  const std::unique_ptr<PGconn, decltype(&PQfinish)> other{PQconnectdb(house_->url().c_str()), &PQfinish};
  PQclear(PQexec(other.get(), "BEGIN; UPDATE flux.products SET stock = 6"));
  const auto session = [&] {
    return ask_postgres(house_->url(),
                        "SELECT string_agg(pid::text, ',') FROM pg_stat_activity "
                        "WHERE application_name = 'flux' AND datname = current_database()");
  };
  const std::string before = session();
  const std::vector<Order> batch{order_of("p")};
  const auto start = std::chrono::steady_clock::now();
  const auto settled = ledger->settle_orders({{&held, 0, 1}}, batch, kNoon);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds{2});
  ASSERT_FALSE(settled);
  EXPECT_EQ(settled.error().code, Errc::timed_out) << settled.error().one_line();
  EXPECT_TRUE(settled.error().retryable);
  const auto put = ledger->put_product({.product_id = "p", .stock = 7});
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, Errc::timed_out) << put.error().one_line();
  PQclear(PQexec(other.get(), "ROLLBACK"));
  EXPECT_TRUE(ledger->settle_orders({{&held, 0, 1}}, batch, kNoon));
  EXPECT_EQ(session(), before) << "the connection was thrown away";
}

TEST_F(PostgresLedgerTest, ReplacesConnectionsThatWereCut) {
  const auto ledger = open({.url = house_->url(), .pool = 2});
  ASSERT_TRUE(ledger->put_product({.product_id = "p", .stock = 5}));
  ask_postgres(house_->url(),
               "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flux' "
               "AND datname = current_database()");
  EXPECT_TRUE(eventually(seconds{5}, [&] { return ledger->get_product("p").has_value(); }));
  EXPECT_TRUE(ledger->get_product("p"));
}

TEST_F(PostgresLedgerTest, SaysWhichLimitIsReachedWhenConnectionsRunOut) {
  const auto ledger = open({.url = house_->url(), .pool = 1, .timeout = seconds{2}});
  ask_postgres(house_->url(), "DROP ROLE IF EXISTS flux_narrow");
  ask_postgres(house_->url(), "CREATE ROLE flux_narrow LOGIN PASSWORD 's3cret' CONNECTION LIMIT 0");
  const auto url = std::regex_replace(house_->url(), std::regex{"//[^@]*@"}, "//flux_narrow:s3cret@");
  const auto refused = postgres::open_ledger({.url = url});
  ask_postgres(house_->url(), "DROP ROLE flux_narrow");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unavailable) << refused.error().one_line();
  EXPECT_THAT(refused.error().hint, ::testing::HasSubstr("CONNECTION LIMIT"));

  // The pool is the other limit: its one connection waits for a lock.
  ASSERT_TRUE(ledger->put_product({.product_id = "p", .stock = 5}));
  const std::unique_ptr<PGconn, decltype(&PQfinish)> other{PQconnectdb(house_->url().c_str()), &PQfinish};
  PQclear(PQexec(other.get(), "BEGIN; LOCK flux.products"));
  const std::jthread waiting{[&] { EXPECT_FALSE(ledger->get_product("p")); }};
  ASSERT_TRUE(eventually(seconds{5}, [&] {
    return ask_postgres(house_->url(),
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flux' AND "
                        "datname = current_database() AND wait_event_type = 'Lock'") == "1";
  }));
  const auto busy = ledger->ping(milliseconds{20});
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, Errc::unavailable);
  EXPECT_EQ(busy.error().hint, "raise postgres.pool");
}

TEST_F(PostgresLedgerTest, ReadsOrdersFromReplicasAndWhatTheyLackFromThePrimary) {
  // A second database stands in for a replica that lags: it has the schema only.
  const PostgresHouse lagging{std::getenv("FLUX_POSTGRES_URL")};
  open({.url = lagging.url()});
  const MuteServer down;
  const auto ledger =
      open({.url = house_->url(), .replicas = {lagging.url(), down.url()}, .timeout = milliseconds{1600}});
  const auto held = ledger->claim_partition("inventory", {"orders", 0}).value();
  const Order order = order_of("p");
  ASSERT_TRUE(ledger->settle_orders({{&held, 0, 1}}, {order}, kNoon));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ledger->find_order(order.id).value().has_value());
  const Uuid only_there = new_uuid();
  ask_postgres(lagging.url(), "INSERT INTO flux.orders VALUES ('" + only_there.to_string() +
                                  "', 'p', 0, 1, 'u', 1, now(), now())");
  EXPECT_TRUE(ledger->find_order(only_there).value().has_value());
}

TEST_F(PostgresLedgerTest, RefusesTheSchemaOfANewerFlux) {
  open({.url = house_->url()});
  ask_postgres(house_->url(), "UPDATE flux.schema_version SET version = 9999");
  const auto ledger = postgres::open_ledger({.url = house_->url()});
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, Errc::refused);
}

TEST_F(PostgresLedgerTest, MigratesOnceWhenManyStartTogether) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] { EXPECT_TRUE(postgres::open_ledger({.url = house_->url()})); });
  threads.clear();
  EXPECT_EQ(ask_postgres(house_->url(), "SELECT count(*) FROM flux.schema_version"), "1");
}

// A whole server of the test's own, to be killed and frozen.
class OwnServer {
 public:
  OwnServer() {
    std::string path = (std::filesystem::temp_directory_path() / "flux-postgres-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp " + path);
    directory_ = path;
    std::istringstream lines{control("start postgres")};
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("FLUX_POSTGRES_URL=")) url_ = line.substr(line.find('=') + 1);
  }
  ~OwnServer() {
    control("clean");
    std::filesystem::remove_all(directory_);
  }
  std::string control(const std::string& what) const {
    return run_command("FLUX_SERVERS_DIR=" + directory_ + " " FLUX_SOURCE_DIR "/scripts/servers " + what);
  }
  const std::string& url() const { return url_; }

 private:
  std::string directory_;
  std::string url_;
};

TEST_F(PostgresLedgerTest, OutlivesAServerThatIsFrozenOrKilledAndRestarted) {
  const OwnServer server;
  const auto ledger = open({.url = server.url(), .pool = 2, .timeout = seconds{1}});
  ASSERT_TRUE(ledger->put_product({.product_id = "p", .stock = 1000}));
  const auto held = ledger->claim_partition("inventory", {"orders", 0}).value();
  const std::vector<Order> first{order_of("p")}, second{order_of("p"), order_of("p")};
  ASSERT_TRUE(ledger->settle_orders({{&held, 0, 1}}, first, kNoon));

  // Frozen in the middle: no answer, not even a refusal.
  std::istringstream pids{ask_postgres(server.url(),
                                       "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE "
                                       "application_name = 'flux'")};
  std::vector<pid_t> frozen;
  for (pid_t pid = 0; pids >> pid;) frozen.push_back(pid);
  ASSERT_FALSE(frozen.empty());
  for (const pid_t pid : frozen) ::kill(pid, SIGSTOP);
  const auto start = std::chrono::steady_clock::now();
  const auto unknown = ledger->settle_orders({{&held, 1, 3}}, second, kNoon);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds{3});
  for (const pid_t pid : frozen) ::kill(pid, SIGCONT);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::timed_out) << unknown.error().one_line();
  // The effect is unknown; the same call again settles it, whichever it was.
  EXPECT_TRUE(eventually(seconds{10}, [&] {
    return ledger->settle_orders({{&held, 1, 3}}, second, kNoon).has_value();
  }));

  server.control("kill postgres");
  const auto down = ledger->get_product("p");
  ASSERT_FALSE(down);
  EXPECT_EQ(down.error().code, Errc::unavailable) << down.error().one_line();
  EXPECT_TRUE(down.error().retryable);
  server.control("start postgres");
  ASSERT_TRUE(eventually(seconds{20}, [&] { return ledger->ping(seconds{1}).has_value(); }));
  EXPECT_EQ(ledger->get_product("p").value().confirmed, 3);
  EXPECT_EQ(ledger->find_settled({first[0].id, second[0].id, second[1].id}).value().size(), 3u);
  EXPECT_EQ(ledger->next_offsets("inventory", "orders", 1).value(), std::vector<std::int64_t>{3});
}

}  // namespace
}  // namespace flux::testing
