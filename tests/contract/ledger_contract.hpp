#pragma once
// What every Ledger promises, whatever stands behind it. A *_ledger_test.cpp
// gives a LedgerHouse and instantiates the suite with it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <thread>

#include "common/ports/ledger.hpp"

namespace flux::testing {

// Data that several connections share; gone when the house goes.
class LedgerHouse {
 public:
  virtual ~LedgerHouse() = default;
  virtual Result<std::unique_ptr<Ledger>> open() = 0;  // one more connection to it
};

struct LedgerKind {
  const char* name;
  // Null: the server is not there; `why` says what to set.
  std::function<std::unique_ptr<LedgerHouse>(std::string& why)> build;
};

inline void PrintTo(const LedgerKind& kind, std::ostream* out) {
  *out << kind.name;
}

inline constexpr WallTime kNoon{std::chrono::seconds{1'800'000'000}};

class LedgerContract : public ::testing::TestWithParam<LedgerKind> {
 protected:
  using Run = flux::Run;  // not testing::Test::Run

  void SetUp() override {
    std::string why;
    house_ = GetParam().build(why);
    if (house_ == nullptr) {
      if (const char* required = std::getenv("FLUX_REQUIRE_LIVE"); required && std::string{required} == "1")
        FAIL() << why;
      GTEST_SKIP() << why;
    }
    ledger_ = connect();
  }

  std::unique_ptr<Ledger> connect() {
    auto opened = house_->open();
    if (!opened) throw std::runtime_error(opened.error().one_line());
    return std::move(*opened);
  }

  PartitionClaim claim(std::int32_t partition, const std::string& group = "inventory") {
    return ledger_->claim_partition(group, {"orders", partition}).value();
  }

  void give(const std::string& product_id, std::int64_t stock) {
    ledger_->put_product({.product_id = product_id, .stock = stock}).value();
  }

  static Order order(const std::string& product_id, std::int64_t quantity) {
    return {.id = new_uuid(),
            .product_id = product_id,
            .bucket = 2,
            .quantity = quantity,
            .user_id = "user-1",
            .accepted_at = kNoon};
  }

  static std::vector<Order> orders(const std::string& product_id, std::size_t count) {
    std::vector<Order> made;
    for (std::size_t i = 0; i < count; ++i) made.push_back(order(product_id, 1));
    return made;
  }

  Result<std::vector<SettledOrder>> settle(const PartitionClaim& held, std::int64_t from,
                                           const std::vector<Order>& batch) {
    return ledger_->settle_orders({{&held, from, from + static_cast<std::int64_t>(batch.size())}}, batch,
                                  kNoon);
  }

  static std::string outcomes(const Result<std::vector<SettledOrder>>& settled) {
    if (!settled) return settled.error().one_line();
    std::string text;
    for (const auto& one : *settled) text += one.status == OrderStatus::confirmed ? 'c' : 'r';
    return text;
  }

  std::int64_t confirmed(const std::string& product_id) {
    return ledger_->get_product(product_id).value().confirmed;
  }

  std::int64_t next_offset(std::int32_t partition) {
    return ledger_->next_offsets("inventory", "orders", partition + 1).value().back();
  }

  static Run run(const Uuid& workflow_id) {
    return {.id = new_uuid(),
            .workflow_id = workflow_id,
            .workflow_version = 3,
            .input_json = R"({"a":1})",
            .created_at = kNoon,
            .steps = {}};
  }

  static Job job(const std::string& type, std::int32_t priority, WallTime not_before) {
    return {.id = new_uuid(),
            .type = type,
            .payload = std::string("pay\0load\xff", 9),
            .priority = priority,
            .not_before = not_before};
  }

  std::unique_ptr<LedgerHouse> house_;
  std::unique_ptr<Ledger> ledger_;
};

#define EXPECT_ERRC(expression, errc)                                            \
  do {                                                                           \
    const auto& errc_result = (expression);                                      \
    ASSERT_FALSE(errc_result.has_value()) << "it succeeded";                     \
    EXPECT_EQ(errc_result.error().code, errc) << errc_result.error().one_line(); \
  } while (false)

TEST_P(LedgerContract, KeepsConfirmedWhenAProductChanges) {
  give("p", 10);
  const auto held = claim(0);
  ASSERT_EQ(outcomes(settle(held, 0, {order("p", 4)})), "c");
  EXPECT_ERRC(ledger_->put_product({.product_id = "p", .stock = 3}), Errc::invalid_argument);
  ASSERT_TRUE(ledger_->put_product({.product_id = "p", .stock = 4, .buckets = 8}));
  give("a", 1);
  const auto all = ledger_->list_products().value();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].product_id, "a");
  EXPECT_EQ(all[1].stock, 4);
  EXPECT_EQ(all[1].confirmed, 4);
  EXPECT_EQ(all[1].buckets, 8);
  EXPECT_ERRC(ledger_->get_product("unknown"), Errc::not_found);
  EXPECT_ERRC(ledger_->put_product({.product_id = "no spaces", .stock = 4}), Errc::invalid_argument);
  EXPECT_ERRC(ledger_->put_product({.product_id = "q", .stock = -1}), Errc::invalid_argument);
}

TEST_P(LedgerContract, ConfirmsInLogOrderUntilTheStockIsUsedUp) {
  give("p", 10);
  give("q", 1);
  const auto held = claim(0);
  const std::vector<Order> batch{order("p", 4), order("q", 1), order("p", 7),      order("p", 6),
                                 order("q", 1), order("p", 1), order("unknown", 1)};
  EXPECT_EQ(outcomes(settle(held, 0, batch)), "ccrcrrr");
  EXPECT_EQ(confirmed("p"), 10);
  EXPECT_EQ(confirmed("q"), 1);
  EXPECT_EQ(next_offset(0), 7);
}

TEST_P(LedgerContract, FillsTheStockToTheLastPieceAndNoFurther) {
  give("p", 1500);
  const auto held = claim(0);
  EXPECT_EQ(outcomes(settle(held, 0, orders("p", 1000))), std::string(1000, 'c'));
  EXPECT_EQ(outcomes(settle(held, 1000, orders("p", 1000))), std::string(500, 'c') + std::string(500, 'r'));
  EXPECT_EQ(confirmed("p"), 1500);
}

TEST_P(LedgerContract, FindsWhatWasSettled) {
  give("p", 10);
  const auto held = claim(0);
  const std::vector<Order> batch{order("p", 4), order("p", 40)};
  ASSERT_EQ(outcomes(settle(held, 0, batch)), "cr");
  const auto found = ledger_->find_order(batch[1].id).value();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->id, batch[1].id);
  EXPECT_EQ(found->product_id, "p");
  EXPECT_EQ(found->bucket, 2);
  EXPECT_EQ(found->quantity, 40);
  EXPECT_EQ(found->user_id, "user-1");
  EXPECT_EQ(found->status, OrderStatus::rejected);
  EXPECT_EQ(found->accepted_at, kNoon);
  EXPECT_EQ(found->settled_at, kNoon);
  EXPECT_FALSE(ledger_->find_order(new_uuid()).value().has_value());

  const auto settled = ledger_->find_settled({new_uuid(), batch[0].id, batch[1].id}).value();
  ASSERT_EQ(settled.size(), 2u);
  std::map<Uuid, OrderStatus> by_id;
  for (const auto& one : settled) by_id[one.order_id] = one.status;
  EXPECT_EQ(by_id.at(batch[0].id), OrderStatus::confirmed);
  EXPECT_EQ(by_id.at(batch[1].id), OrderStatus::rejected);
  EXPECT_TRUE(ledger_->find_settled({}).value().empty());
}

TEST_P(LedgerContract, RepeatedBatchChangesNothingAndGivesTheFirstOutcomes) {
  give("p", 5);
  const auto held = claim(0);
  const std::vector<Order> batch{order("p", 3), order("p", 3), order("p", 2)};
  ASSERT_EQ(outcomes(settle(held, 0, batch)), "crc");
  // The answer was lost, and stock arrived meanwhile.
  give("p", 100);
  EXPECT_EQ(outcomes(settle(held, 0, batch)), "crc");
  EXPECT_EQ(confirmed("p"), 5);
  EXPECT_EQ(next_offset(0), 3);
  // The same events again, further on in the log.
  EXPECT_EQ(outcomes(settle(held, 3, batch)), "crc");
  EXPECT_EQ(confirmed("p"), 5);
  EXPECT_EQ(next_offset(0), 6);
}

TEST_P(LedgerContract, CountsOnlyTheNewOrdersOfAMixedBatch) {
  give("p", 5);
  const auto held = claim(0);
  const std::vector<Order> old{order("p", 2), order("p", 9)};
  ASSERT_EQ(outcomes(settle(held, 0, old)), "cr");
  const Order twice = order("p", 1);
  const std::vector<Order> mixed{order("p", 2), old[0], twice, old[1], twice, order("p", 1)};
  const auto settled = settle(held, 2, mixed);
  EXPECT_EQ(outcomes(settled), "cccrcr");
  for (std::size_t i = 0; i < mixed.size(); ++i) EXPECT_EQ((*settled)[i].order_id, mixed[i].id);
  EXPECT_EQ(confirmed("p"), 5);
  EXPECT_EQ(next_offset(0), 8);
}

TEST_P(LedgerContract, MovesSeveralPartitionsInOneTransactionOrNone) {
  give("p", 5);
  const auto zero = claim(0), one = claim(1);
  ASSERT_TRUE(ledger_->settle_orders({{&one, 0, 2}, {&zero, 0, 1}}, orders("p", 3), kNoon));
  EXPECT_EQ(ledger_->next_offsets("inventory", "orders", 3).value(), (std::vector<std::int64_t>{1, 2, 0}));
  claim(1);
  EXPECT_ERRC(ledger_->settle_orders({{&zero, 1, 2}, {&one, 2, 3}}, orders("p", 2), kNoon), Errc::fenced);
  EXPECT_EQ(ledger_->next_offsets("inventory", "orders", 3).value(), (std::vector<std::int64_t>{1, 2, 0}));
  EXPECT_EQ(confirmed("p"), 3);
}

TEST_P(LedgerContract, FencesAZombieAfterALaterClaim) {
  give("p", 100);
  const auto zombie = claim(0);
  ASSERT_EQ(outcomes(settle(zombie, 0, orders("p", 2))), "cc");
  const auto other = connect();
  const auto owner = other->claim_partition("inventory", {"orders", 0}).value();
  EXPECT_GT(owner.epoch, zombie.epoch);
  EXPECT_EQ(owner.next_offset, 2);
  const auto late = orders("p", 3);
  EXPECT_ERRC(settle(zombie, 2, late), Errc::fenced);
  EXPECT_ERRC(ledger_->advance({&zombie, 2, 3}), Errc::fenced);
  EXPECT_FALSE(ledger_->find_order(late[0].id).value().has_value());
  EXPECT_EQ(confirmed("p"), 2);
  EXPECT_TRUE(other->advance({&owner, 2, 9}));
  EXPECT_EQ(next_offset(0), 9);
  // Other groups have offsets of their own.
  EXPECT_EQ(claim(0, "workflows").next_offset, 0);
}

TEST_P(LedgerContract, RefusesARangeThatDoesNotBeginAtTheLedgersOffset) {
  give("p", 100);
  const auto held = claim(0);
  ASSERT_TRUE(ledger_->advance({&held, 0, 5}));
  EXPECT_TRUE(ledger_->advance({&held, 0, 5})) << "the first answer was lost";
  EXPECT_ERRC(settle(held, 4, orders("p", 2)), Errc::fenced);
  EXPECT_ERRC(settle(held, 6, orders("p", 2)), Errc::fenced);
  EXPECT_ERRC(ledger_->advance({&held, 0, 6}), Errc::fenced);
  EXPECT_ERRC(ledger_->advance({&held, 5, 4}), Errc::invalid_argument);
  EXPECT_ERRC(ledger_->settle_orders({}, orders("p", 1), kNoon), Errc::invalid_argument);
  const PartitionClaim never{"inventory", {"orders", 7}, 1, 0};
  EXPECT_ERRC(settle(never, 0, orders("p", 1)), Errc::fenced);
  EXPECT_EQ(confirmed("p"), 0);
  EXPECT_EQ(next_offset(0), 5);
  EXPECT_EQ(outcomes(settle(held, 5, {})), "");
}

TEST_P(LedgerContract, NeverOversellsUnderEightConnections) {
  constexpr int kConnections = 8;
  constexpr std::int64_t kStock = 1000;
  give("hot", kStock);
  give("other", 1'000'000);
  std::vector<std::unique_ptr<Ledger>> connections;
  for (int i = 0; i < kConnections; ++i) connections.push_back(connect());
  std::atomic<std::int64_t> confirmed_pieces{0};
  std::atomic<int> failures{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < kConnections; ++i)
    threads.emplace_back([&, i] {
      Ledger& mine = *connections[static_cast<std::size_t>(i)];
      const auto held = mine.claim_partition("inventory", {"orders", i});
      if (!held) return void(++failures);
      std::int64_t from = 0;
      for (int batch = 0; batch < 5; ++batch) {
        std::vector<Order> mixed;
        for (int n = 0; n < 25; ++n) {
          // Products in both orders, as locks taken crosswise would deadlock.
          mixed.push_back(order(i % 2 == 0 ? "hot" : "other", 1 + n % 3));
          mixed.push_back(order(i % 2 == 0 ? "other" : "hot", 1 + n % 3));
        }
        const auto to = from + static_cast<std::int64_t>(mixed.size());
        const auto settled = mine.settle_orders({{&*held, from, to}}, mixed, kNoon);
        if (!settled) {
          ADD_FAILURE() << settled.error().one_line();
          return void(++failures);
        }
        for (std::size_t n = 0; n < mixed.size(); ++n)
          if (mixed[n].product_id == "hot" && (*settled)[n].status == OrderStatus::confirmed)
            confirmed_pieces += mixed[n].quantity;
        from = to;
      }
    });
  threads.clear();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(confirmed_pieces, confirmed("hot"));
  EXPECT_LE(confirmed("hot"), kStock);
  EXPECT_GE(confirmed("hot"), kStock - 2) << "stock was left although it was asked for";
}

TEST_P(LedgerContract, GivesAnOrderOneOutcomeHoweverManySettleItAtOnce) {
  give("p", 1'000'000);
  constexpr int kConnections = 4;
  const auto same = orders("p", 200);
  const auto stray = orders("unknown", 50);
  std::vector<std::unique_ptr<Ledger>> connections;
  for (int i = 0; i < kConnections; ++i) connections.push_back(connect());
  std::vector<std::jthread> threads;
  for (int i = 0; i < kConnections; ++i)
    threads.emplace_back([&, i] {
      Ledger& mine = *connections[static_cast<std::size_t>(i)];
      auto batch = same;
      batch.insert(batch.end(), stray.begin(), stray.end());
      const auto held = mine.claim_partition("inventory", {"orders", i}).value();
      const auto to = static_cast<std::int64_t>(batch.size());
      EXPECT_EQ(outcomes(mine.settle_orders({{&held, 0, to}}, batch, kNoon)),
                std::string(200, 'c') + std::string(50, 'r'));
    });
  threads.clear();
  EXPECT_EQ(confirmed("p"), 200);
}

TEST_P(LedgerContract, CountsVersionsOfAWorkflow) {
  const Workflow made{new_uuid(), "mail", 7, {{"wait", StepKind::sleep, R"({"for":"1s"})"}}};
  EXPECT_ERRC(ledger_->get_workflow(made.id), Errc::not_found);
  EXPECT_EQ(ledger_->create_workflow(made).value().version, 1);
  EXPECT_EQ(ledger_->create_workflow(made).value().version, 1) << "the first answer was lost";
  Workflow changed = made;
  changed.name = "post \xc3\xa9";
  EXPECT_ERRC(ledger_->create_workflow(changed), Errc::already_exists);
  changed.steps.push_back({"call", StepKind::http, R"({"url":"http://x"})"});
  EXPECT_EQ(ledger_->update_workflow(changed, 1).value().version, 2);
  EXPECT_ERRC(ledger_->update_workflow(changed, 1), Errc::conflict);
  EXPECT_EQ(ledger_->update_workflow(changed, std::nullopt).value().version, 3);
  const auto stored = ledger_->get_workflow(made.id).value();
  EXPECT_EQ(stored.version, 3);
  EXPECT_EQ(stored.name, changed.name);
  ASSERT_EQ(stored.steps.size(), 2u);
  EXPECT_EQ(stored.steps[0].with_json, R"({"for":"1s"})");
  EXPECT_EQ(stored.steps[1].kind, StepKind::http);
  changed.id = new_uuid();
  EXPECT_ERRC(ledger_->update_workflow(changed, 1), Errc::not_found);
}

TEST_P(LedgerContract, KeepsTheFirstRunAndItsWholeStory) {
  Run made = run(new_uuid());
  EXPECT_ERRC(ledger_->get_run(made.id), Errc::not_found);
  ASSERT_TRUE(ledger_->create_run(made));
  const auto held = claim(0, "workflows");
  made.status = RunStatus::running;
  made.steps = {{.name = "one",
                 .status = RunStatus::succeeded,
                 .attempts = 2,
                 .started_at = kNoon,
                 .finished_at = kNoon + std::chrono::milliseconds{7},
                 .output_json = R"({"ok":true})"},
                {.name = "two", .status = RunStatus::failed, .error = "it \"broke\"\n"}};
  ASSERT_TRUE(ledger_->save_run(made, held));
  Run again = made;
  again.status = RunStatus::queued;
  again.steps.clear();
  ASSERT_TRUE(ledger_->create_run(again)) << "idempotent per id";
  made.status = RunStatus::failed;
  made.finished_at = kNoon + std::chrono::seconds{1};
  ASSERT_TRUE(ledger_->finish_run(made, {&held, 0, 1}));
  const auto stored = ledger_->get_run(made.id).value();
  EXPECT_EQ(stored.workflow_id, made.workflow_id);
  EXPECT_EQ(stored.workflow_version, 3);
  EXPECT_EQ(stored.status, RunStatus::failed);
  EXPECT_EQ(stored.input_json, made.input_json);
  EXPECT_EQ(stored.created_at, kNoon);
  EXPECT_EQ(stored.finished_at, made.finished_at);
  ASSERT_EQ(stored.steps.size(), 2u);
  EXPECT_EQ(stored.steps[0].attempts, 2);
  EXPECT_EQ(stored.steps[0].finished_at, made.steps[0].finished_at);
  EXPECT_EQ(stored.steps[0].output_json, made.steps[0].output_json);
  EXPECT_EQ(stored.steps[1].error, made.steps[1].error);
  EXPECT_FALSE(stored.steps[1].started_at.has_value());
}

TEST_P(LedgerContract, FencesTheRunsOfAZombie) {
  Run made = run(new_uuid());
  ASSERT_TRUE(ledger_->create_run(made));
  const auto zombie = claim(0);
  const auto owner = claim(0);
  made.status = RunStatus::running;
  EXPECT_ERRC(ledger_->save_run(made, zombie), Errc::fenced);
  EXPECT_ERRC(ledger_->finish_run(made, {&zombie, 0, 1}), Errc::fenced);
  EXPECT_EQ(ledger_->get_run(made.id).value().status, RunStatus::queued);
  EXPECT_EQ(next_offset(0), 0);
  made.status = RunStatus::succeeded;
  ASSERT_TRUE(ledger_->finish_run(made, {&owner, 0, 1}));
  EXPECT_TRUE(ledger_->finish_run(made, {&owner, 0, 1})) << "the first answer was lost";
  EXPECT_ERRC(ledger_->finish_run(made, {&owner, 0, 2}), Errc::fenced);
  EXPECT_EQ(next_offset(0), 1);
}

TEST_P(LedgerContract, DeletesARunOnlyWhileItIsQueued) {
  Run made = run(new_uuid());
  ASSERT_TRUE(ledger_->create_run(made));
  ASSERT_TRUE(ledger_->delete_queued_run(made.id));
  EXPECT_TRUE(ledger_->delete_queued_run(made.id));
  EXPECT_ERRC(ledger_->get_run(made.id), Errc::not_found);
  made.status = RunStatus::running;
  ASSERT_TRUE(ledger_->create_run(made));
  EXPECT_ERRC(ledger_->delete_queued_run(made.id), Errc::conflict);
}

TEST_P(LedgerContract, PagesRunsNewestFirstAndStableUnderInserts) {
  const Uuid left = new_uuid(), right = new_uuid();
  std::vector<Uuid> expected;
  for (int i = 0; i < 10; ++i) {
    Run made = run(i % 2 == 0 ? left : right);
    made.steps = {{.name = "one"}};
    if (i == 4) made.status = RunStatus::failed;
    ASSERT_TRUE(ledger_->create_run(made));
    if (i % 2 == 0) expected.insert(expected.begin(), made.id);
  }
  std::vector<Uuid> seen;
  std::optional<Uuid> cursor;
  for (;;) {
    const auto page = ledger_->list_runs({.workflow_id = left, .limit = 2, .before = cursor}).value();
    if (page.empty()) break;
    for (const auto& one : page) {
      seen.push_back(one.id);
      EXPECT_TRUE(one.steps.empty());
    }
    cursor = page.back().id;
    ASSERT_TRUE(ledger_->create_run(run(left)));
  }
  EXPECT_EQ(seen, expected);
  const auto failed = ledger_->list_runs({.status = RunStatus::failed, .workflow_id = left}).value();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].workflow_id, left);
  EXPECT_EQ(ledger_->list_runs({.status = RunStatus::failed}).value().size(), 1u);
  EXPECT_EQ(ledger_->list_runs({.limit = 3}).value().size(), 3u);
  EXPECT_TRUE(ledger_->list_runs({.limit = 0}).value().empty());
}

TEST_P(LedgerContract, ListsRunsThatStayedQueued) {
  std::vector<Uuid> expected;
  for (int i = 0; i < 4; ++i) {
    Run made = run(new_uuid());
    made.created_at = kNoon + std::chrono::seconds{i};
    if (i == 1) made.status = RunStatus::running;
    ASSERT_TRUE(ledger_->create_run(made));
    if (i == 0 || i == 2) expected.push_back(made.id);
  }
  std::vector<Uuid> stuck;
  for (const auto& one : ledger_->queued_runs_before(kNoon + std::chrono::seconds{3}, 10).value())
    stuck.push_back(one.id);
  EXPECT_EQ(stuck, expected);
  EXPECT_EQ(ledger_->queued_runs_before(kNoon + std::chrono::seconds{3}, 1).value().size(), 1u);
}

TEST_P(LedgerContract, TakesDueJobsByPriorityAndLease) {
  using std::chrono::seconds;
  const Job low = job("mail", 0, kNoon), high = job("mail", 5, kNoon + seconds{1});
  const Job later = job("mail", 9, kNoon + seconds{60}), other = job("push", 9, kNoon);
  for (const Job& one : {low, high, later, other}) ASSERT_TRUE(ledger_->put_job(one));
  Job changed = low;
  changed.payload = "changed";
  ASSERT_TRUE(ledger_->put_job(changed)) << "the first one stays";

  EXPECT_TRUE(ledger_->take_due_jobs("mail", kNoon - seconds{1}, seconds{10}, 10).value().empty());
  const auto first = ledger_->take_due_jobs("mail", kNoon + seconds{2}, seconds{10}, 1).value();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].id, high.id);
  EXPECT_EQ(first[0].attempts, 1);
  EXPECT_EQ(first[0].status, JobStatus::running);
  EXPECT_EQ(first[0].priority, 5);
  const auto second = ledger_->take_due_jobs("mail", kNoon + seconds{2}, seconds{20}, 10).value();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].id, low.id);
  EXPECT_EQ(second[0].payload, low.payload);
  EXPECT_TRUE(ledger_->take_due_jobs("mail", kNoon + seconds{11}, seconds{10}, 10).value().empty());

  // The first lease ran out: another worker gets the job, the former one is fenced.
  const auto retaken = ledger_->take_due_jobs("mail", kNoon + seconds{12}, seconds{10}, 10).value();
  ASSERT_EQ(retaken.size(), 1u);
  EXPECT_EQ(retaken[0].id, high.id);
  EXPECT_EQ(retaken[0].attempts, 2);
  Job done = first[0];
  done.status = JobStatus::succeeded;
  EXPECT_ERRC(ledger_->finish_job(done), Errc::fenced);
  done = retaken[0];
  done.status = JobStatus::succeeded;
  EXPECT_TRUE(ledger_->finish_job(done));
  EXPECT_TRUE(ledger_->finish_job(done)) << "the first answer was lost";

  // Failed: waits for its retry, and keeps why.
  Job failed = second[0];
  failed.status = JobStatus::waiting;
  failed.not_before = kNoon + seconds{30};
  failed.last_error = "no answer";
  ASSERT_TRUE(ledger_->finish_job(failed));
  EXPECT_TRUE(ledger_->take_due_jobs("mail", kNoon + seconds{29}, seconds{10}, 10).value().empty());
  const auto retried = ledger_->take_due_jobs("mail", kNoon + seconds{30}, seconds{10}, 10).value();
  ASSERT_EQ(retried.size(), 1u);
  EXPECT_EQ(retried[0].last_error, "no answer");
  Job dead = retried[0];
  dead.status = JobStatus::dead;
  ASSERT_TRUE(ledger_->finish_job(dead));
  const auto last = ledger_->take_due_jobs("mail", kNoon + seconds{999}, seconds{10}, 10).value();
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].id, later.id);
  EXPECT_ERRC(ledger_->finish_job(job("mail", 0, kNoon)), Errc::not_found);
}

TEST_P(LedgerContract, HandsEachJobToOneTaker) {
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(ledger_->put_job(job("mail", 0, kNoon)));
  std::vector<std::unique_ptr<Ledger>> connections;
  for (int i = 0; i < 4; ++i) connections.push_back(connect());
  std::mutex mutex;
  std::map<Uuid, int> taken;
  std::vector<std::jthread> threads;
  for (auto& connection : connections)
    threads.emplace_back([&] {
      for (;;) {
        const auto jobs = connection->take_due_jobs("mail", kNoon, std::chrono::hours{1}, 4);
        ASSERT_TRUE(jobs) << jobs.error().one_line();
        if (jobs->empty()) return;
        const std::lock_guard lock{mutex};
        for (const auto& one : *jobs) ++taken[one.id];
      }
    });
  threads.clear();
  EXPECT_EQ(taken.size(), 60u);
  for (const auto& [id, times] : taken) EXPECT_EQ(times, 1);
}

TEST_P(LedgerContract, ReadsTheAuditTrailNewestFirst) {
  ASSERT_TRUE(ledger_->audit({kNoon, "alice", "scale api", R"({"to":5})"}));
  ASSERT_TRUE(ledger_->audit({kNoon + std::chrono::seconds{1}, "bob", "roll back", "{}"}));
  const auto trail = ledger_->recent_audit(10).value();
  ASSERT_EQ(trail.size(), 2u);
  EXPECT_EQ(trail[0].actor, "bob");
  EXPECT_EQ(trail[1].action, "scale api");
  EXPECT_EQ(trail[1].detail_json, R"({"to":5})");
  EXPECT_EQ(trail[1].at, kNoon);
  EXPECT_EQ(ledger_->recent_audit(1).value().size(), 1u);
}

TEST_P(LedgerContract, ServesManyThreadsOnOneConnection) {
  give("p", 1'000'000);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&, i] {
      const auto held = ledger_->claim_partition("inventory", {"orders", i}).value();
      for (int n = 0; n < 10; ++n) {
        const auto batch = orders("p", 10);
        EXPECT_EQ(outcomes(settle(held, n * 10, batch)), std::string(10, 'c'));
        EXPECT_TRUE(ledger_->find_order(batch[3].id).value().has_value());
      }
    });
  threads.clear();
  EXPECT_EQ(confirmed("p"), 600);
  EXPECT_TRUE(ledger_->ping(std::chrono::seconds{1}));
}

inline std::string kind_name(const ::testing::TestParamInfo<LedgerKind>& info) {
  return info.param.name;
}

}  // namespace flux::testing
