#pragma once
// The API on a real socket over engines in memory, with time that stands still
// until a test moves it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "daemons/api/api_server.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/fake_event_log.hpp"
#include "tests/fakes/fake_ledger.hpp"
#include "tests/fakes/fake_state_store.hpp"
#include "tests/unit/daemons/runtime/raw_client.hpp"

namespace flux::api {

struct Answer {
  int status = 0;
  std::string head;
  std::string body;

  boost::json::value json() const {
    boost::json::error_code ec;
    auto value = boost::json::parse(body, ec);
    EXPECT_FALSE(ec) << head << body;
    return value;
  }
  std::string text(const char* field) const {
    const auto value = json();
    const auto* object = value.if_object();
    const auto* found = object == nullptr ? nullptr : object->if_contains(field);
    return found != nullptr && found->is_string() ? std::string(found->get_string()) : "";
  }
  std::int64_t number(const char* field) const {
    const auto value = json();
    const auto* object = value.if_object();
    const auto* found = object == nullptr ? nullptr : object->if_contains(field);
    return found != nullptr && found->is_int64() ? found->get_int64() : -1;
  }
  std::string header(const std::string& name) const {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const auto start = at + name.size() + 4;
    return head.substr(start, head.find("\r\n", start) - start);
  }
};

inline const std::string kJson = "Content-Type: application/json\r\n";

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() : log(clock), data(std::make_shared<testing::FakeStateData>(clock)) {
    config.api.tokens_file.clear();
    EXPECT_TRUE(log.ensure_topics({{"orders", 3, 1}, {"workflow.trigger", 3, 1}}));
    watch.interval = watch.settle_down = std::chrono::milliseconds{20};
  }
  ~ApiTest() override { server.reset(); }

  // `wait_ready`: until the watch has looked at the engines.
  void start(bool wait_ready = true) {
    state = std::make_unique<ApiState>(config, metrics, clock);
    ASSERT_TRUE(state->tokens.load());
    state->ledger = &ledger;
    state->event_log = &log;
    server = std::make_unique<ApiServer>(*state, 1, watch);
    auto store_of_loop = std::make_unique<testing::FakeStateStore>(data);
    store = store_of_loop.get();
    auto producer = log.producer(server->loops()[0].get_executor());
    ASSERT_TRUE(producer);
    server->set_engines(0, std::move(store_of_loop), std::move(*producer));
    auto address = server->start({"127.0.0.1", 0}, 1000);
    ASSERT_TRUE(address) << address.error().one_line();
    port = address->port;
    if (wait_ready) await_ready();
  }
  void await_ready() {
    ASSERT_TRUE(
        testing::eventually(std::chrono::seconds{10}, [&] { return ask("GET", "/ready").status == 200; }));
  }

  Answer ask(std::string_view method, const std::string& path, const std::string& body = "",
             const std::string& headers = kJson) const {
    testing::RawClient client(port);
    std::string request =
        std::string(method) + " " + path + " HTTP/1.1\r\nHost: api\r\nConnection: close\r\n" + headers;
    if (!body.empty() || method == "POST" || method == "PUT")
      request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    client.send(request + "\r\n" + body);
    return read(client.response());
  }
  static Answer read(const std::string& response) {
    Answer answer;
    const auto end = response.find("\r\n\r\n");
    if (!response.starts_with("HTTP/1.1 ") || end == std::string::npos) return answer;
    answer.status = std::stoi(response.substr(9, 3));
    answer.head = response.substr(0, end + 2);
    answer.body = response.substr(end + 4);
    return answer;
  }

  Answer order(const std::string& product, int quantity = 1, const std::string& key = "",
               const std::string& user = "u1") const {
    return ask("POST", "/v1/orders",
               R"({"productId":")" + product + R"(","quantity":)" + std::to_string(quantity) +
                   R"(,"userId":")" + user + "\"}",
               kJson + (key.empty() ? "" : "Idempotency-Key: " + key + "\r\n"));
  }
  Answer put_product(const std::string& id, int stock, int buckets = 1) const {
    return ask("PUT", "/v1/products/" + id,
               "{\"stock\":" + std::to_string(stock) + ",\"buckets\":" + std::to_string(buckets) + "}");
  }

  ManualClock clock;
  Config config = default_config();
  MetricsRegistry metrics;
  WatchOptions watch;
  testing::FakeLedger ledger;
  testing::FakeEventLog log;
  std::shared_ptr<testing::FakeStateData> data;
  testing::FakeStateStore* store = nullptr;
  std::unique_ptr<ApiState> state;
  std::unique_ptr<ApiServer> server;
  std::uint16_t port = 0;
};

}  // namespace flux::api
