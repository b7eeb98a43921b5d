#include <set>

#include "common/order/order_event.hpp"
#include "tests/unit/daemons/api/api_fixture.hpp"

namespace flux::api {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct OrderRoutes : ApiTest {};

TEST_F(OrderRoutes, AnAcceptedOrderIsInTheLogAndReservedAndReadable) {
  start();
  const auto product = put_product("p1", 10);
  EXPECT_EQ(product.status, 200);
  EXPECT_EQ(product.json(),
            boost::json::parse(R"({"productId":"p1","stock":10,"available":10,"reserved":0,"confirmed":0})"));
  const auto placed = ask("POST", "/v1/orders", R"({"productId":"p1","quantity":3,"userId":"u1"})",
                          kJson +
                              "X-Request-Id: r-9\r\n"
                              "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n");
  EXPECT_EQ(placed.status, 202);
  EXPECT_EQ(placed.text("status"), "accepted");
  EXPECT_EQ(placed.header("X-Request-Id"), "r-9");

  const auto records = log.records("orders");
  ASSERT_EQ(records.size(), 1u);
  const auto event = decode_order_event(records[0].value);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->id.to_string(), placed.text("orderId"));
  EXPECT_EQ(event->quantity, 3);
  EXPECT_EQ(records[0].key, "p1");
  ASSERT_EQ(records[0].headers.size(), 2u);
  EXPECT_EQ(records[0].headers[0].first, "traceparent");
  EXPECT_EQ(records[0].headers[0].second, placed.header("traceparent"));
  EXPECT_THAT(records[0].headers[0].second, HasSubstr("0af7651916cd43dd8448eb211c80319c"));
  EXPECT_EQ(records[0].headers[1], (std::pair<std::string, std::string>{"x-request-id", "r-9"}));

  const auto read = ask("GET", "/v1/orders/" + placed.text("orderId"));
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(read.text("status"), "accepted");
  EXPECT_EQ(read.text("userId"), "u1");
  EXPECT_EQ(read.header("X-Cache"), "miss");
  const auto left = ask("GET", "/v1/products/p1");
  EXPECT_EQ(left.number("available"), 7);
  EXPECT_EQ(left.number("reserved"), 3);
  EXPECT_EQ(metrics.counter("flux_orders_accepted_total", "").value(), 1u);
}

TEST_F(OrderRoutes, ASettledOrderIsReadFromTheLedgerOnceAndThenFromTheCache) {
  start();
  put_product("p1", 10);
  const auto id = order("p1", 2).text("orderId");
  auto event = *decode_order_event(log.records("orders")[0].value);
  const auto claim = *ledger.claim_partition("inventory", log.records("orders")[0].source);
  ASSERT_TRUE(ledger.settle_orders({{&claim, 0, 1}}, {event}, clock.wall()));

  const auto first = ask("GET", "/v1/orders/" + id);
  EXPECT_EQ(first.text("status"), "confirmed");
  EXPECT_NE(first.text("settledAt"), "");
  EXPECT_EQ(first.header("X-Cache"), "miss");
  const auto calls = ledger.calls();
  const auto second = ask("GET", "/v1/orders/" + id);
  EXPECT_EQ(second.body, first.body);
  EXPECT_EQ(second.header("X-Cache"), "hit");
  EXPECT_EQ(ask("GET", "/v1/orders/" + id, "", "If-None-Match: " + second.header("ETag") + "\r\n").status,
            304);
  EXPECT_LE(ledger.calls() - calls, 50u);  // pings only
}

TEST_F(OrderRoutes, RefusesWhatIsSoldOutOrUnknown) {
  start();
  put_product("p1", 2);
  EXPECT_EQ(order("p1", 3).status, 409);
  EXPECT_EQ(order("p1", 3).text("code"), "sold_out");
  EXPECT_EQ(order("absent").status, 404);
  EXPECT_EQ(ask("GET", "/v1/orders/01890a5d-ac96-774b-bcce-b302099a8057").status, 404);
  EXPECT_EQ(ask("GET", "/v1/products/absent").status, 404);
  EXPECT_EQ(log.record_count("orders"), 0u);
  // A refusal is not the key's answer: with stock, the same key orders.
  EXPECT_EQ(order("p1", 3, "k1").status, 409);
  put_product("p1", 5);
  EXPECT_EQ(order("p1", 3, "k1").status, 202);
}

TEST_F(OrderRoutes, BadInputGetsAProblemAndChangesNothing) {
  start();
  put_product("p1", 100);
  struct Case {
    const char* method;
    std::string path, body, headers;
    int status;
  };
  const std::string good = R"({"productId":"p1","quantity":1,"userId":"u1"})";
  const auto body = [](const std::string& p, const std::string& q, const std::string& u) {
    return "{\"productId\":" + p + ",\"quantity\":" + q + ",\"userId\":" + u + "}";
  };
  std::vector<Case> cases;
  for (const std::string& bytes :
       {std::string(""),
        std::string("{"),
        std::string("null"),
        std::string("[]"),
        std::string("\"x\""),
        std::string("{}"),
        body("1", "1", "\"u\""),
        body("null", "1", "\"u\""),
        body("\"\"", "1", "\"u\""),
        body("\"..\"", "1", "\"u\""),
        body("\"../x\"", "1", "\"u\""),
        body("\"a b\"", "1", "\"u\""),
        body("\"a\\u0000\"", "1", "\"u\""),
        body("\"" + std::string(129, 'a') + "\"", "1", "\"u\""),
        body("\"p1\"", "0", "\"u\""),
        body("\"p1\"", "-1", "\"u\""),
        body("\"p1\"", "1.5", "\"u\""),
        body("\"p1\"", "1e3", "\"u\""),
        body("\"p1\"", "1.0", "\"u\""),
        body("\"p1\"", "\"1\"", "\"u\""),
        body("\"p1\"", "true", "\"u\""),
        body("\"p1\"", "1000001", "\"u\""),
        body("\"p1\"", "9223372036854775808", "\"u\""),
        body("\"p1\"", "1e999", "\"u\""),
        body("\"p1\"", "99999999999999999999999999", "\"u\""),
        body("\"p1\"", "1", "{}"),
        body("\"p1\"", "1", "\"\xff\""),
        body("\"p1\"", "1", "\"u{x}\""),
        std::string(R"({"productId":"p1","quantity":1,"userId":"u1","extra":1})"),
        std::string(R"({"productId":"p1","quantity":1,"quantity":2,"userId":"u1"})"),
        good + "x",
        good + good,
        std::string(5000, '['),
        std::string("{\"productId\":") + std::string(5000, '[')})
    cases.push_back({"POST", "/v1/orders", bytes, kJson, 400});
  cases.insert(
      cases.end(),
      {{"POST", "/v1/orders", good, "", 415},
       {"POST", "/v1/orders", good, "Content-Type: text/plain\r\n", 415},
       {"POST", "/v1/orders", good, "Content-Type: application/x-www-form-urlencoded\r\n", 415},
       {"POST", "/v1/orders", good, kJson + "Content-Encoding: gzip\r\n", 415},
       {"POST", "/v1/orders", std::string(70 << 10, ' ') + good, kJson, 413},
       {"POST", "/v1/orders", good, kJson + "Idempotency-Key: \r\n", 400},
       {"POST", "/v1/orders", good, kJson + "Idempotency-Key: a b\r\n", 400},
       {"POST", "/v1/orders", good, kJson + "Idempotency-Key: " + std::string(256, 'k') + "\r\n", 400},
       {"GET", "/v1/orders", "", "", 405},
       {"PUT", "/v1/orders", good, kJson, 405},
       {"DELETE", "/v1/products/p1", "", "", 405},
       {"POST", "/health", "", "", 405},
       {"GET", "/v1/orders/nope", "", "", 404},
       {"GET", "/v1/orders/..%2f..%2fetc", "", "", 404},
       {"GET", "/v1/orders/%00", "", "", 404},
       {"GET", "/v1/products/../orders", "", "", 404},
       {"GET", "/v1/products/%2e%2e", "", "", 404},
       {"GET", "/v1/products/a%27b", "", "", 404},
       {"GET", "/v1/nothing", "", "", 404},
       {"GET", "/", "", "", 404},
       {"GET", "/v1/orders/", "", "", 404},
       {"PUT", "/v1/products/..", R"({"stock":1})", kJson, 400},
       {"PUT", "/v1/products/%2e%2e%2fx", R"({"stock":1})", kJson, 400},
       {"PUT", "/v1/products/a%20b", R"({"stock":1})", kJson, 400},
       {"PUT", "/v1/products/p9", R"({"stock":-1})", kJson, 400},
       {"PUT", "/v1/products/p9", R"({"stock":1000000000001})", kJson, 400},
       {"PUT", "/v1/products/p9", R"({"stock":1,"buckets":0})", kJson, 400},
       {"PUT", "/v1/products/p9", R"({"stock":1,"buckets":257})", kJson, 400},
       {"PUT", "/v1/products/p9", R"({"stock":1,"buckets":null})", kJson, 400},
       {"PUT", "/v1/products/p9", R"({"buckets":1})", kJson, 400},
       {"PUT", "/v1/products/p9", R"({"stock":1,"price":1})", kJson, 400},
       {"PUT", "/v1/products/p9", "", kJson, 400}});
  for (const auto& c : cases) {
    const auto answer = ask(c.method, c.path, c.body, c.headers);
    const std::string what =
        std::string(c.method) + " " + c.path + " " + c.body.substr(0, 100) + " " + c.headers;
    EXPECT_EQ(answer.status, c.status) << what << answer.body;
    EXPECT_EQ(answer.header("Content-Type"), "application/problem+json") << what;
    EXPECT_NE(answer.header("X-Request-Id"), "") << what;
    EXPECT_NE(answer.header("traceparent"), "") << what;
    EXPECT_EQ(answer.number("status"), c.status) << what;
    if (c.status == 405) {
      EXPECT_NE(answer.header("Allow"), "") << what;
    }
  }
  EXPECT_EQ(log.record_count("orders"), 0u);
  EXPECT_EQ(ask("GET", "/v1/products/p1").number("available"), 100);
  EXPECT_EQ(ask("GET", "/v1/products/p9").status, 404);
}

TEST_F(OrderRoutes, TheSameKeyGetsTheSameAnswer) {
  start();
  put_product("p1", 10);
  const auto first = order("p1", 1, "k1");
  EXPECT_EQ(first.status, 202);
  EXPECT_EQ(first.header("Idempotent-Replay"), "");
  const auto again = order("p1", 1, "k1");
  EXPECT_EQ(again.status, 202);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(again.header("Idempotent-Replay"), "true");
  EXPECT_EQ(order("p1", 2, "k1").status, 422);
  EXPECT_NE(order("p1", 1, "k2").body, first.body);
  EXPECT_EQ(log.record_count("orders"), 2u);
}

TEST_F(OrderRoutes, FiftyDuplicatesAtOnceMakeOneOrder) {
  start();
  put_product("p1", 1000);
  log.delay_acknowledgements(30ms);
  std::mutex mutex;
  std::set<std::string> ids;
  std::map<int, int> statuses;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 50; ++i)
      clients.emplace_back([&] {
        auto answer = order("p1", 1, "same");
        while (answer.status == 409) answer = order("p1", 1, "same");
        const std::lock_guard lock(mutex);
        ids.insert(answer.text("orderId"));
        ++statuses[answer.status];
      });
  }
  EXPECT_EQ(statuses, (std::map<int, int>{{202, 50}}));
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(log.record_count("orders"), 1u);
  EXPECT_EQ(ask("GET", "/v1/products/p1").number("reserved"), 1);
}

TEST_F(OrderRoutes, ACertainlyLostAppendReturnsStockAndKey) {
  start();
  put_product("p1", 10);
  for (const auto code : {Errc::unavailable, Errc::exhausted}) {
    log.fail_next_append({code, "the broker at 10.1.2.3 is away"});
    const auto failed = order("p1", 4, "k1");
    EXPECT_EQ(failed.status, 503);
    EXPECT_NE(failed.header("Retry-After"), "");
    EXPECT_THAT(failed.body, ::testing::Not(HasSubstr("10.1.2.3")));
    EXPECT_EQ(ask("GET", "/v1/products/p1").number("available"), 10);
  }
  EXPECT_EQ(order("p1", 4, "k1").status, 202);
}

TEST_F(OrderRoutes, AnAppendOfUnknownFateKeepsReservationAndKeyAndARetryGoesOnWithTheSameOrder) {
  start();
  put_product("p1", 10);
  for (const bool stored : {false, true}) {
    const std::string key = stored ? "stored" : "lost";
    log.fail_next_append_maybe(stored);
    EXPECT_EQ(order("p1", 1, key).status, 503);
    EXPECT_EQ(order("p1", 1, key).status, 409);
    clock.advance(11s);
    const auto again = order("p1", 1, key);
    EXPECT_EQ(again.status, 202) << again.body;
    EXPECT_EQ(again.header("Idempotent-Replay"), "");
    std::set<std::string> ids;
    for (const auto& record : log.records("orders"))
      ids.insert(decode_order_event(record.value)->id.to_string());
    EXPECT_TRUE(ids.contains(again.text("orderId")));
    EXPECT_EQ(ids.size(), stored ? 2u : 1u);
  }
  EXPECT_EQ(ask("GET", "/v1/products/p1").number("reserved"), 2);
}

TEST_F(OrderRoutes, ATakenOverOrderThatIsSettledIsNotReservedAgain) {
  start();
  put_product("p1", 10);
  log.fail_next_append_maybe(true);
  EXPECT_EQ(order("p1", 1, "k").status, 503);
  const auto record = log.records("orders").at(0);
  const auto event = *decode_order_event(record.value);
  const auto claim = *ledger.claim_partition("inventory", record.source);
  ASSERT_TRUE(ledger.settle_orders({{&claim, record.offset, record.offset + 1}}, {event}, clock.wall()));
  clock.advance(11s);
  const auto again = order("p1", 1, "k");
  EXPECT_EQ(again.status, 202);
  EXPECT_EQ(again.text("orderId"), event.id.to_string());
  EXPECT_EQ(log.record_count("orders"), 1u);
  EXPECT_EQ(order("p1", 1, "k").header("Idempotent-Replay"), "true");
}

TEST_F(OrderRoutes, OnceAppendedItIsAcceptedWhateverTheStoreSays) {
  start();
  put_product("p1", 10);
  log.delay_acknowledgements(300ms);
  Answer answer;
  {
    std::jthread client([&] { answer = order("p1", 1, "k"); });
    ASSERT_TRUE(testing::eventually(5s, [&] { return log.record_count("orders") == 1; }));
    store->fail_all({Errc::timed_out, "the store hangs", "", true});
  }
  EXPECT_EQ(answer.status, 202);
  store->recover();
}

TEST_F(OrderRoutes, ASpreadProductCarriesItsBucketInTheKey) {
  start();
  put_product("p1", 100, 4);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order("p1").status, 202);
  for (const auto& record : log.records("orders")) {
    const auto event = *decode_order_event(record.value);
    EXPECT_EQ(record.key, "p1:" + std::to_string(event.bucket));
  }
}

TEST_F(OrderRoutes, LoweringStockBelowItsUseIsRefusedOnBothSides) {
  start();
  put_product("p1", 10);
  order("p1", 6);
  EXPECT_EQ(put_product("p1", 5).status, 409);
  EXPECT_EQ(ledger.get_product("p1")->stock, 10);
  EXPECT_EQ(put_product("p1", 6).status, 200);
  EXPECT_EQ(ledger.get_product("p1")->stock, 6);
}

TEST_F(OrderRoutes, LimitsEachClientByItsRate) {
  config.api.rate_limit = 2;
  start();
  EXPECT_EQ(ask("GET", "/v1/products/p1").status, 404);
  EXPECT_EQ(ask("GET", "/v1/products/p1").status, 404);
  const auto limited = ask("GET", "/v1/products/p1");
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(limited.header("Retry-After"), "1");
  // A balancer on this machine names its client; what the client wrote before is not believed.
  EXPECT_EQ(ask("GET", "/v1/products/p1", "", "X-Forwarded-For: 127.0.0.1, 192.0.2.7\r\n").status, 404);
  EXPECT_EQ(ask("GET", "/health").status, 200);
  clock.advance(1s);
  EXPECT_EQ(ask("GET", "/v1/products/p1").status, 404);
}

}  // namespace
}  // namespace flux::api
