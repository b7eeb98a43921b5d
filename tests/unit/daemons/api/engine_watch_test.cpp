#include "common/order/order_event.hpp"
#include "tests/unit/daemons/api/api_fixture.hpp"

namespace flux::api {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct EngineWatch : ApiTest {
  bool becomes(const char* path, int status) {
    return testing::eventually(10s, [&] { return ask("GET", path).status == status; });
  }
};

TEST_F(EngineWatch, SaysWhatIsAwayAndRecoversByItself) {
  start();
  put_product("p1", 10);
  log.fail_everything(Error{Errc::unavailable, "no broker", "", true});
  ASSERT_TRUE(becomes("/ready", 503));
  EXPECT_THAT(ask("GET", "/ready").text("detail"), HasSubstr("the event log is away"));
  ASSERT_TRUE(testing::eventually(
      10s, [&] { return state->breakers.event_log.state() == runtime::CircuitBreaker::State::open; }));
  const auto before = std::chrono::steady_clock::now();
  const auto refused = order("p1");
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.header("Retry-After"), "");
  EXPECT_LT(std::chrono::steady_clock::now() - before, 1s);
  EXPECT_EQ(ask("GET", "/v1/products/p1").number("available"), 10);
  EXPECT_EQ(ask("GET", "/health").status, 200);
  EXPECT_THAT(metrics.exposition(), HasSubstr("flux_breaker_state{engine=\"event_log\"} 2\n"));

  log.fail_everything(std::nullopt);
  clock.advance(10s);
  ASSERT_TRUE(becomes("/ready", 200));
  EXPECT_EQ(order("p1").status, 202);
}

TEST_F(EngineWatch, AStoreThatIsAwayStopsOrdersAtOnceAndNotReads) {
  start();
  put_product("p1", 10);
  const auto workflow = ask("POST", "/v1/workflows",
                            R"({"name":"w","steps":[{"name":"a","kind":"sleep","with":{"duration":"1s"}}]})");
  store->fail_all({Errc::unavailable, "no store", "", true});
  ASSERT_TRUE(becomes("/ready", 503));
  EXPECT_EQ(order("p1", 1, "k").status, 503);
  EXPECT_EQ(ask("GET", "/v1/products/p1").status, 503);
  EXPECT_EQ(ask("GET", "/v1/workflows/" + workflow.text("workflowId")).status, 200);
  EXPECT_EQ(ask("GET", "/v1/runs").status, 200);
  store->recover();
  clock.advance(10s);
  ASSERT_TRUE(becomes("/ready", 200));
  EXPECT_EQ(order("p1", 1, "k").status, 202);
}

TEST_F(EngineWatch, AFirstStartWithoutProductsIsReadyAtOnce) {
  start();
  EXPECT_TRUE(data->is_restored);
}

// What was accepted before the loss counts, so nothing is sold twice.
TEST_F(EngineWatch, RebuildsALostStoreFromTheLedgerOnceItHasReachedTheLogsEnd) {
  start();
  put_product("p1", 10, 2);
  put_product("p2", 5);
  EXPECT_EQ(order("p1", 4).status, 202);
  data->lose_everything();
  const auto refused = order("p1");
  EXPECT_EQ(refused.status, 503) << refused.body;
  EXPECT_NE(refused.header("Retry-After"), "");
  EXPECT_THAT(ask("GET", "/ready").text("detail"), HasSubstr("rebuilt"));
  // Not before the accepted order is settled.
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(ask("GET", "/ready").status, 503);
  EXPECT_EQ(put_product("p3", 1).status, 503);

  const auto record = log.records("orders").at(0);
  const auto claim = *ledger.claim_partition("inventory", record.source);
  ASSERT_TRUE(ledger.settle_orders({{&claim, record.offset, record.offset + 1}},
                                   {*decode_order_event(record.value)}, clock.wall()));
  ASSERT_TRUE(becomes("/ready", 200));
  EXPECT_EQ(ask("GET", "/v1/products/p1").json(),
            boost::json::parse(R"({"productId":"p1","stock":10,"available":6,"reserved":0,"confirmed":4})"));
  EXPECT_EQ(ask("GET", "/v1/products/p2").number("available"), 5);
  EXPECT_EQ(order("p1").status, 202);
}

TEST_F(EngineWatch, RebuildsAtStartWhenTheLedgerHasProductsAndTheStoreHasNone) {
  ASSERT_TRUE(ledger.put_product({"p1", 10, 0, 1}));
  start();
  EXPECT_EQ(ask("GET", "/v1/products/p1").number("available"), 10);
}

TEST_F(EngineWatch, DrainsWhileOrdersComeIn) {
  start();
  put_product("p1", 100000);
  log.delay_acknowledgements(5ms);
  std::atomic<int> accepted{0}, other{0};
  std::atomic<bool> stopped{false};
  {
    std::vector<std::jthread> clients;
    for (int t = 0; t < 8; ++t)
      clients.emplace_back([&] {
        testing::RawClient client(port);
        const std::string body = R"({"productId":"p1","quantity":1,"userId":"u1"})";
        const std::string request = "POST /v1/orders HTTP/1.1\r\nHost: a\r\n" + kJson +
                                    "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
        while (true) {
          const auto answer = read(client.ask(request));
          (answer.status == 202 ? accepted : other)++;
          if (answer.status == 0 || answer.header("Connection") == "close") break;
        }
        EXPECT_FALSE(client.reset());
      });
    ASSERT_TRUE(testing::eventually(10s, [&] { return accepted > 100; }));
    server->begin_drain();
    EXPECT_TRUE(server->await_drained(10s));
    stopped = true;
  }
  EXPECT_EQ(other, 0);
  EXPECT_EQ(static_cast<int>(log.record_count("orders")), accepted);
}

}  // namespace
}  // namespace flux::api
