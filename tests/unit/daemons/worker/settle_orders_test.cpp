#include "daemons/worker/settle_orders.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "common/order/order_event.hpp"
#include "daemons/worker/await_on.hpp"
#include "daemons/worker/reap_reservations.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/fake_event_log.hpp"
#include "tests/fakes/fake_ledger.hpp"
#include "tests/fakes/fake_state_store.hpp"
#include "tests/fakes/run_async.hpp"

namespace flux::worker {
namespace {

using std::chrono::seconds;
using testing::AsyncRunner;
using testing::eventually;

class SettleOrdersTest : public ::testing::Test {
 protected:
  SettleOrdersTest() : store_(data_) {
    EXPECT_TRUE(log_.ensure_topics({{"orders", 4, 1}, {"orders.dlq", 1, 1}}));
    EXPECT_TRUE(ledger_.put_product({"lamp", 10, 0, 1}));
    EXPECT_TRUE(runner_.run(store_.put_product("lamp", 10, 1)));
    producer_ = std::move(*log_.producer(runner_.executor()));
  }
  ~SettleOrdersTest() override { stop_worker(); }

  Order place(std::int64_t quantity) {
    Order order{.id = new_uuid(),
                .product_id = "lamp",
                .quantity = quantity,
                .user_id = "u",
                .accepted_at = system_clock().wall()};
    const auto reserved = runner_.run(store_.reserve({order.id, "lamp", quantity, system_clock().wall()}));
    EXPECT_TRUE(reserved);
    append(encode_order_event(order));
    return order;
  }
  void append(const std::string& value) {
    EXPECT_TRUE(runner_.run(producer_->append({"orders", "lamp", value, {{"traceparent", "t"}}})));
  }
  void start_worker() {
    worker_ = std::jthread([this](std::stop_token stop) {
      boost::asio::io_context loop(1);
      const auto work = boost::asio::make_work_guard(loop);
      testing::FakeStateStore store(data_);
      SettleOptions options;
      options.poll_wait = std::chrono::milliseconds{5};
      options.backoff = {std::chrono::milliseconds{1}, std::chrono::milliseconds{5}};
      OrderSettler settler(log_, ledger_, store, loop, options, counters_);
      EXPECT_TRUE(settler.run(stop));
    });
  }
  void stop_worker() {
    if (!worker_.joinable()) return;
    worker_.request_stop();
    worker_.join();
  }
  ProductStock stock() { return *runner_.run(store_.get_product("lamp")); }

  AsyncRunner runner_;
  testing::FakeEventLog log_;
  testing::FakeLedger ledger_;
  std::shared_ptr<testing::FakeStateData> data_ = std::make_shared<testing::FakeStateData>();
  testing::FakeStateStore store_;
  std::unique_ptr<EventProducer> producer_;
  SettleCounters counters_;
  std::jthread worker_;
};

TEST_F(SettleOrdersTest, ConfirmsOrdersAndMovesTheirStock) {
  const Order order = place(3);
  start_worker();
  ASSERT_TRUE(eventually(seconds{10}, [&] { return stock().confirmed == 3; }));
  EXPECT_EQ(stock().reserved, 0);
  EXPECT_EQ(stock().available, 7);
  EXPECT_EQ((*ledger_.find_order(order.id))->status, OrderStatus::confirmed);
  stop_worker();
  const auto committed = *log_.committed_offsets("inventory", "orders");
  EXPECT_EQ(std::ranges::count(committed, std::optional<std::int64_t>{1}), 1);
}

TEST_F(SettleOrdersTest, MovesPoisonToTheDeadLettersAndGoesOn) {
  append("not json");
  append(R"({"orderId":1})");
  place(1);
  start_worker();
  ASSERT_TRUE(eventually(seconds{10}, [&] { return stock().confirmed == 1; }));
  const auto letters = log_.records("orders.dlq");
  ASSERT_EQ(letters.size(), 2u);
  EXPECT_EQ(letters[0].value, "not json");
  const auto header = [&](const char* name) {
    for (const auto& [key, value] : letters[0].headers)
      if (key == name) return value;
    return std::string("missing");
  };
  EXPECT_EQ(header("traceparent"), "t");
  EXPECT_EQ(header("flux-dlq-topic"), "orders");
  EXPECT_EQ(header("flux-dlq-group"), "inventory");
  EXPECT_NE(header("flux-dlq-reason").find("not an order event"), std::string::npos);
}

TEST_F(SettleOrdersTest, ALostAnswerOfTheLedgerSettlesNothingTwice) {
  ledger_.fail_next({Errc::timed_out, "lost", "", true}, testing::FakeLedger::Effect::done);  // claims
  for (int i = 0; i < 3; ++i)
    ledger_.fail_next({Errc::timed_out, "lost", "", true}, testing::FakeLedger::Effect::done);
  ledger_.fail_next({Errc::unavailable, "away", "", true});
  place(2);
  place(2);
  start_worker();
  ASSERT_TRUE(eventually(seconds{10}, [&] { return stock().confirmed == 4; }));
  EXPECT_EQ(stock().reserved, 0);
  EXPECT_EQ(ledger_.get_product("lamp")->confirmed, 4);
}

TEST_F(SettleOrdersTest, StopsWhenFencedAndTakesOverAgain) {
  start_worker();
  place(1);
  ASSERT_TRUE(eventually(seconds{10}, [&] { return stock().confirmed == 1; }));
  for (std::int32_t p = 0; p < 4; ++p) ASSERT_TRUE(ledger_.claim_partition("inventory", {"orders", p}));
  place(1);
  ASSERT_TRUE(eventually(seconds{20}, [&] { return stock().confirmed == 2; }));
  EXPECT_EQ(ledger_.get_product("lamp")->confirmed, 2);
}

TEST_F(SettleOrdersTest, WaitsForTheLedgerAndRecoversByItself) {
  for (int i = 0; i < 30; ++i) ledger_.fail_next({Errc::unavailable, "away", "", true});
  place(1);
  start_worker();
  ASSERT_TRUE(eventually(seconds{10}, [&] { return stock().confirmed == 1; }));
  EXPECT_GT(counters_.ledger_failures.load(), 0u);
  EXPECT_TRUE(eventually(seconds{5}, [&] { return !counters_.stalled.load(); }));
}

class ReaperTest : public SettleOrdersTest {
 protected:
  ReaperTest()
      : work_(boost::asio::make_work_guard(loop_)),
        reaper_(log_, ledger_, store_, loop_, "w", {.grace = seconds{30}}, clock_) {}
  Reservation reserve(std::int64_t quantity, Duration age) {
    const auto at = clock_.wall() - std::chrono::duration_cast<WallTime::duration>(age);
    return *runner_.run(store_.reserve({new_uuid(), "lamp", quantity, at}));
  }
  void settle_everything() {
    start_worker();
    ASSERT_TRUE(eventually(seconds{10}, [&] {
      const auto ends = *log_.end_offsets("orders");
      return *ledger_.next_offsets("inventory", "orders", 4) == ends;
    }));
    stop_worker();
  }

  ManualClock clock_;
  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  ReservationReaper reaper_;
};

TEST_F(ReaperTest, ReturnsStockOnlyAfterTheGroupPassedTheLogsEnd) {
  reserve(4, seconds{60});
  Order somebody{.id = new_uuid(), .product_id = "lamp", .quantity = 1, .user_id = "u"};
  append(encode_order_event(somebody));     // the group is behind
  EXPECT_EQ(reaper_.round()->returned, 0);  // marks the end
  EXPECT_EQ(reaper_.round()->returned, 0);  // not passed yet
  EXPECT_EQ(stock().reserved, 4);
  settle_everything();
  EXPECT_EQ(reaper_.round()->returned, 1);
  EXPECT_EQ(stock().reserved, 0);
}

TEST_F(ReaperTest, BringsWhatTheLedgerHasConfirmedAlready) {
  const auto reservation = reserve(2, seconds{60});
  const auto claim = *ledger_.claim_partition("inventory", {"orders", 0});
  ASSERT_TRUE(ledger_.settle_orders(
      {{&claim, 0, 1}}, {{.id = reservation.order_id, .product_id = "lamp", .quantity = 2, .user_id = "u"}},
      system_clock().wall()));
  EXPECT_EQ(reaper_.round()->confirmed, 1);
  EXPECT_EQ(stock().confirmed, 2);
}

TEST_F(ReaperTest, LeavesYoungReservationsAlone) {
  reserve(1, seconds{10});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(reaper_.round()->returned, 0);
  EXPECT_EQ(stock().reserved, 1);
}

TEST_F(ReaperTest, OneOfSeveralWorkersReaps) {
  reserve(1, seconds{60});
  ReservationReaper other(log_, ledger_, store_, loop_, "other", {.grace = seconds{30}}, clock_);
  ASSERT_TRUE(reaper_.round());
  ASSERT_TRUE(other.round());
  ASSERT_TRUE(other.round());
  EXPECT_EQ(stock().reserved, 1);
  ASSERT_TRUE(reaper_.round());
  EXPECT_EQ(stock().reserved, 0);
}

}  // namespace
}  // namespace flux::worker
