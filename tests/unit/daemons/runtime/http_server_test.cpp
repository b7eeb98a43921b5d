#include "daemons/runtime/http_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "daemons/runtime/admin_server.hpp"
#include "daemons/runtime/blocking_pool.hpp"
#include "tests/unit/daemons/runtime/raw_client.hpp"

namespace flux::runtime {
namespace {

using namespace std::chrono_literals;
using flux::testing::RawClient;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

boost::asio::awaitable<HttpResponse> answer_later(HttpRequest& request, Duration wait) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, wait);
  co_await timer.async_wait(boost::asio::use_awaitable);
  co_return HttpResponse{.body = "later " + std::string(request.path)};
}

boost::asio::awaitable<HttpResponse> throw_later() {
  throw std::runtime_error("secret detail");
  co_return HttpResponse{};
}

struct HttpServerTest : ::testing::Test {
  MetricsRegistry metrics;
  RouteTable routes;
  HttpServerOptions options;
  std::unique_ptr<EventLoops> loops;
  std::unique_ptr<HttpServer> server;

  HttpServerTest() {
    routes.add("GET", "/now", [](HttpRequest&) { return HttpResponse{.body = "now"}; });
    routes.add("GET", "/later", [](HttpRequest& r) { return answer_later(r, 20ms); });
    routes.add("GET", "/slow", [](HttpRequest& r) { return answer_later(r, 300ms); });
    routes.add("GET", "/throws", [](HttpRequest&) { return throw_later(); });
    routes.add("GET", "/large", [](HttpRequest&) { return HttpResponse{.body = std::string(8 << 20, 'x')}; });
    routes.add("POST", "/echo", [](HttpRequest& r) { return HttpResponse{.body = r.body}; });
    options.limits.body_bytes = 1000;
  }
  ~HttpServerTest() override {
    if (loops) loops->stop();
    server.reset();
  }
  std::uint16_t start(int threads = 1) {
    loops = std::make_unique<EventLoops>(threads);
    std::vector<HttpHandler> handlers(loops->size(), [this](HttpRequest& r) { return routes.dispatch(r); });
    auto made = HttpServer::listen(*loops, {"127.0.0.1", 0}, options, handlers, metrics);
    EXPECT_TRUE(made) << made.error().one_line();
    server = std::move(*made);
    loops->start();
    return server->address().port;
  }
};

const std::string kNow = "GET /now HTTP/1.1\r\nHost: a\r\n\r\n";

std::string ask_for(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

TEST_F(HttpServerTest, KeepsTheConnectionAndNamesEveryAnswer) {
  RawClient client(start());
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.ask(
        "GET /now HTTP/1.1\r\nHost: a\r\nX-Request-Id: r-7\r\n"
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("X-Request-Id: r-7\r\n"));
    EXPECT_THAT(answer, HasSubstr("traceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
    EXPECT_THAT(answer, Not(HasSubstr("b7ad6b7169203331")));
    EXPECT_THAT(answer, HasSubstr("\r\n\r\nnow"));
    EXPECT_THAT(answer, Not(HasSubstr("Connection:")));
  }
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  RawClient client(start());
  std::string many;
  for (int i = 0; i < 500; ++i) many += i % 10 == 0 ? ask_for("/later") : kNow;
  client.send(many);
  for (int i = 0; i < 500; ++i)
    ASSERT_THAT(client.response(), HasSubstr(i % 10 == 0 ? "\r\n\r\nlater /later" : "\r\n\r\nnow")) << i;
}

TEST_F(HttpServerTest, AnswersTensOfThousandsOfPipelinedRequestsWithoutRecursion) {
  RawClient client(start());
  std::string many;
  for (int i = 0; i < 900; ++i) many += "GET /now HTTP/1.1\r\nHost:a\r\n\r\n";
  for (int round = 0; round < 20; ++round) {
    client.send(many);
    for (int i = 0; i < 900; ++i) ASSERT_THAT(client.response(), StartsWith("HTTP/1.1 200"));
  }
}

TEST_F(HttpServerTest, ClosesWhenTheClientAsksAndAnswersHttp10) {
  const auto port = start();
  RawClient closing(port);
  closing.send("GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + kNow);
  EXPECT_THAT(closing.rest(),
              ::testing::AllOf(HasSubstr("Connection: close\r\n"), ::testing::EndsWith("now")));
  EXPECT_FALSE(closing.reset());
  RawClient old(port);
  EXPECT_THAT(old.ask("GET /now HTTP/1.0\r\n\r\n"), HasSubstr("Connection: close\r\n"));
  RawClient old_kept(port);
  EXPECT_THAT(old_kept.ask("GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
              HasSubstr("Connection: keep-alive\r\n"));
}

TEST_F(HttpServerTest, SendsNoBodyForHead) {
  RawClient client(start());
  client.send("HEAD /now HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.response(true), HasSubstr("Content-Length: 3\r\n"));
  EXPECT_THAT(client.ask(kNow), HasSubstr("\r\n\r\nnow"));
}

TEST_F(HttpServerTest, RefusesWithProblemDocuments) {
  struct Case {
    std::string request;
    const char* status;
  };
  const Case cases[] = {
      {ask_for("/absent"), "404"},
      {"POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "405"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x'), "413"},
      {"nonsense\r\n\r\n", "400"},
      {ask_for("/throws"), "500"},
  };
  const auto port = start();
  for (const auto& c : cases) {
    RawClient client(port);
    const auto answer = client.ask(c.request);
    EXPECT_THAT(answer, StartsWith(std::string("HTTP/1.1 ") + c.status));
    EXPECT_THAT(answer, HasSubstr("Content-Type: application/problem+json\r\n"));
    EXPECT_THAT(answer, HasSubstr("X-Request-Id: "));
    EXPECT_THAT(answer, HasSubstr("traceparent: 00-"));
    EXPECT_THAT(answer, Not(HasSubstr("secret")));
  }
  RawClient wrong_method(port);
  EXPECT_THAT(wrong_method.ask("DELETE /now HTTP/1.1\r\nHost: a\r\n\r\n"), HasSubstr("Allow: GET, HEAD\r\n"));
}

TEST_F(HttpServerTest, SaysContinueToAClientThatWaits) {
  RawClient client(start());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.response(), StartsWith("HTTP/1.1 100 Continue\r\n"));
  EXPECT_THAT(client.ask("abc"), HasSubstr("\r\n\r\nabc"));
}

TEST_F(HttpServerTest, WritesAnswersLargerThanTheSocketTakes) {
  RawClient client(start());
  client.send(ask_for("/large") + kNow);
  EXPECT_EQ(client.response().size() & ~std::size_t{0xffff}, std::size_t{8} << 20);
  EXPECT_THAT(client.response(), HasSubstr("\r\n\r\nnow"));
}

TEST_F(HttpServerTest, EndsRequestsAndConnectionsThatTakeTooLong) {
  options.header_timeout = 200ms;
  options.body_timeout = 200ms;
  options.idle_timeout = 300ms;
  const auto port = start();
  RawClient header(port), body(port), idle(port), silent(port);
  header.send("GET /now HTTP/1.1\r\nHo");
  body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
  EXPECT_THAT(idle.ask(kNow), HasSubstr("now"));
  EXPECT_THAT(header.rest(), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(body.rest(), StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(idle.rest(), "");
  EXPECT_TRUE(idle.at_end());
  EXPECT_EQ(silent.rest(), "");
  EXPECT_TRUE(silent.at_end());
}

TEST_F(HttpServerTest, DrainAnswersWhatIsUnderWayAndWhatIsQueuedAndEnds) {
  options.idle_grace = 200ms;
  const auto port = start();
  RawClient slow(port), idle(port), busy(port);
  EXPECT_THAT(idle.ask(kNow), HasSubstr("now"));
  EXPECT_THAT(busy.ask(kNow), HasSubstr("now"));
  slow.send(ask_for("/slow"));
  while (metrics.exposition().find("route=\"/now\"") == std::string::npos) std::this_thread::yield();
  RawClient fresh(port);
  server->begin_drain();
  EXPECT_THAT(busy.ask(kNow), HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(fresh.ask(kNow), HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(slow.rest(), ::testing::AllOf(HasSubstr("later /slow"), HasSubstr("Connection: close\r\n")));
  EXPECT_EQ(idle.rest(), "");
  EXPECT_FALSE(idle.reset());
  EXPECT_TRUE(server->await_drained(10s));
  EXPECT_FALSE(RawClient(port).connected());
}

TEST_F(HttpServerTest, CountsWhatItAnswers) {
  RawClient client(start());
  client.ask(kNow);
  client.ask(ask_for("/absent"));
  client.ask("BREW /now HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto text = metrics.exposition();
  EXPECT_THAT(text, HasSubstr("flux_http_requests_total{route=\"/now\",method=\"GET\",status=\"200\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("flux_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("flux_http_requests_total{route=\"/now\",method=\"other\",status=\"405\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("flux_http_request_duration_seconds_count{route=\"/now\"} 2\n"));
}

TEST_F(HttpServerTest, ServesManyClientsOnSeveralLoops) {
  const auto port = start(2);
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> clients;
    for (int t = 0; t < 8; ++t)
      clients.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          RawClient client(port);
          for (int k = 0; k < 5; ++k)
            if (client.ask(k % 2 == 0 ? kNow : ask_for("/later")).starts_with("HTTP/1.1 200")) ++good;
        }
      });
  }
  EXPECT_EQ(good, 8 * 20 * 5);
}

TEST_F(HttpServerTest, AnIdleConnectionCostsUnderSixKibibytes) {
  const auto port = start();
  const auto settle = [&](std::size_t n) {
    while (server->connections() != n) std::this_thread::sleep_for(1ms);
  };
  std::vector<std::unique_ptr<RawClient>> clients;
  const auto open = [&](std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      clients.push_back(std::make_unique<RawClient>(port));
      ASSERT_THAT(clients.back()->ask(kNow), HasSubstr("now"));
    }
    settle(clients.size());
  };
  open(50);
  clients.reserve(2000);
  const auto before = ::mallinfo2().uordblks;
  open(1000);
  const auto used = (::mallinfo2().uordblks - before) / 1000;
  std::printf("memory per idle connection, client object included: %zu bytes\n", used);
  RecordProperty("bytes_per_idle_connection", static_cast<int>(used));
  EXPECT_LT(used, 6u << 10);
}

TEST(BlockingPool, RunsOffTheLoopAndRefusesWhenFull) {
  EventLoops loops(1);
  BlockingPool pool(1, 1);
  RouteTable routes;
  std::mutex gate;
  gate.lock();
  routes.add("GET", "/block", [&](HttpRequest&) -> HttpAnswer {
    return [](BlockingPool& p, std::mutex& g) -> boost::asio::awaitable<HttpResponse> {
      const auto result = co_await p.run([&g]() -> Result<int> {
        const std::lock_guard lock(g);
        return 7;
      });
      co_return HttpResponse{.body = result ? std::to_string(*result) : result.error().message};
    }(pool, gate);
  });
  MetricsRegistry metrics;
  auto server = HttpServer::listen(loops, {"127.0.0.1", 0}, {},
                                   {[&](HttpRequest& r) { return routes.dispatch(r); }}, metrics);
  ASSERT_TRUE(server);
  loops.start();
  const auto port = (*server)->address().port;
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<RawClient>(port));
    clients.back()->send(ask_for("/block"));
    if (i == 0)  // the pool's one thread must have taken it before the queue fills
      std::this_thread::sleep_for(50ms);
  }
  std::string refused;
  for (int i = 1; i < 3 && refused.empty(); ++i)
    if (clients[static_cast<std::size_t>(i)]->receive(500))
      refused = clients[static_cast<std::size_t>(i)]->response();
  EXPECT_THAT(refused, HasSubstr("too many blocking calls"));
  gate.unlock();
  EXPECT_THAT(clients[0]->response(), HasSubstr("\r\n\r\n7"));
  loops.stop();
  pool.stop();
  server->reset();
}

TEST(AdminServer, AnswersProbesAndWritesItsAddress) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("flux-admin-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  const auto file = (directory / "address").string();
  MetricsRegistry metrics;
  std::atomic<bool> ready{false};
  auto admin = AdminServer::start("127.0.0.1:0", file, metrics, [&]() -> std::vector<std::string> {
    if (ready) return {};
    return {"the log is away"};
  });
  ASSERT_TRUE(admin);
  std::string line;
  std::getline(std::ifstream(file), line);
  EXPECT_EQ(line, (*admin)->address());
  RawClient client((*parse_listen_address(line)).port);
  EXPECT_THAT(client.ask(ask_for("/health")), HasSubstr("200 OK"));
  EXPECT_THAT(client.ask(ask_for("/ready")),
              ::testing::AllOf(HasSubstr("503"), HasSubstr("the log is away")));
  ready = true;
  EXPECT_THAT(client.ask(ask_for("/ready")), HasSubstr("200 OK"));
  EXPECT_THAT(client.ask(ask_for("/metrics")), HasSubstr("flux_http_requests_total"));
  std::filesystem::remove_all(directory);
}

TEST(ListenAddress, ReadsWhatPeopleWrite) {
  struct Case {
    const char* text;
    const char* expected;  // nullptr: refused
    bool loopback;
  };
  const Case cases[] = {{"127.0.0.1:8000", "127.0.0.1:8000", true},
                        {":8080", ":8080", false},
                        {"[::1]:0", "[::1]:0", true},
                        {"0.0.0.0:1", "0.0.0.0:1", false},
                        {"localhost:5", "localhost:5", true},
                        {"*:5", ":5", false},
                        {"8080", nullptr, false},
                        {"a:", nullptr, false},
                        {"a:65536", nullptr, false},
                        {"a:-1", nullptr, false},
                        {"::1:80", nullptr, false},
                        {"a:1x", nullptr, false}};
  for (const auto& c : cases) {
    const auto address = parse_listen_address(c.text);
    ASSERT_EQ(address.has_value(), c.expected != nullptr) << c.text;
    if (!address) continue;
    EXPECT_EQ(address->to_string(), c.expected);
    EXPECT_EQ(address->is_loopback(), c.loopback) << c.text;
  }
}

}  // namespace
}  // namespace flux::runtime
