#pragma once
// What every state store must do, whatever it is made of. A test program
// includes this, describes its engine and instantiates StateStoreContract.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/core/ids.hpp"
#include "common/ports/state_store.hpp"
#include "tests/fakes/run_async.hpp"

namespace flux::testing {

using namespace std::chrono_literals;

// One for each test, on data of its own.
class StateStoreEngine {
 public:
  virtual ~StateStoreEngine() = default;
  // Not empty: why the engine cannot be tested here.
  virtual std::string missing() { return {}; }
  // Another store on the same data.
  virtual Result<std::unique_ptr<StateStore>> open(boost::asio::any_io_executor loop) = 0;
  // Lets the time of the store's own clock pass.
  virtual void pass(Duration time) = 0;
  // A short time by that clock, long enough to act within.
  virtual Duration moment() const { return 300ms; }

  // Runs `work` `count` times at once, each with its own store and loop, and
  // returns what they return. In processes where the engine lets them share.
  virtual std::vector<std::int64_t> contend(int count, std::function<std::int64_t(int)> work,
                                            std::function<void()> start) {
    std::array<int, 2> go{}, done{};
    if (::pipe(go.data()) != 0 || ::pipe(done.data()) != 0) throw std::runtime_error("pipe");
    std::vector<pid_t> children;
    for (int i = 0; i < count; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::close(go[1]);
        char byte = 0;
        while (::read(go[0], &byte, 1) > 0) {
        }
        std::int64_t value = -1;
        try {
          value = work(i);
        } catch (const std::exception& failed) {
          std::fprintf(stderr, "contender %d: %s\n", i, failed.what());
        }
        const bool told = ::write(done[1], &value, sizeof value) == sizeof value;
        ::_exit(told ? 0 : 1);
      }
      children.push_back(child);
    }
    ::close(go[0]);
    ::close(done[1]);
    start();
    ::close(go[1]);
    std::vector<std::int64_t> values;
    std::int64_t value = 0;
    while (::read(done[0], &value, sizeof value) == sizeof value) values.push_back(value);
    ::close(done[0]);
    for (const pid_t child : children) ::waitpid(child, nullptr, 0);
    return values;
  }
};

using MakeEngine = std::function<std::unique_ptr<StateStoreEngine>()>;

class StateStoreContract : public ::testing::TestWithParam<MakeEngine> {
 protected:
  void SetUp() override {
    engine_ = GetParam()();
    const std::string missing = engine_->missing();
    if (missing.empty()) return;
    if (const char* required = std::getenv("FLUX_REQUIRE_LIVE"); required && *required == '1') {
      FAIL() << missing;
    }
    GTEST_SKIP() << missing;
  }
  void TearDown() override { store_.reset(); }

  StateStore& store() {
    if (!store_) {
      auto opened = engine_->open(runner_.executor());
      if (!opened) throw std::runtime_error(opened.error().one_line());
      store_ = std::move(*opened);
    }
    return *store_;
  }
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    return runner_.run(std::move(work));
  }

  ProductStock put(const std::string& id, std::int64_t stock, std::int32_t buckets = 1) {
    return run(store().put_product(id, stock, buckets)).value();
  }
  ProductStock get(const std::string& id) { return run(store().get_product(id)).value(); }
  Result<Reservation> reserve(const std::string& id, std::int64_t quantity = 1, Uuid order = new_uuid()) {
    return run(store().reserve({order, id, quantity, now_}));
  }
  std::int64_t settle(const Reservation& r, SettleOutcome outcome) {
    return run(store().settle({{r.order_id, r.product_id, r.bucket, outcome}})).value();
  }
  Result<KeyClaim> claim(const std::string& key, const std::string& body, Uuid order, Duration keep = 1h) {
    return run(store().claim_key({"client", key, body, order, now_, 10s, keep}));
  }

  std::unique_ptr<StateStoreEngine> engine_;
  AsyncRunner runner_;
  std::unique_ptr<StateStore> store_;
  WallTime now_ = from_unix_ms(1'700'000'000'000);
};

inline void expect_counts(const ProductStock& p, std::int64_t available, std::int64_t reserved,
                          std::int64_t confirmed) {
  EXPECT_EQ(p.available, available);
  EXPECT_EQ(p.reserved, reserved);
  EXPECT_EQ(p.confirmed, confirmed);
  EXPECT_EQ(p.stock, available + reserved + confirmed);
}

// Differs from those of other processes that were split off the same one and so
// share the state of its random numbers.
inline Uuid own_uuid() {
  Uuid id = new_uuid();
  const pid_t process = ::getpid();
  for (std::size_t i = 0; i < sizeof process; ++i) {
    id.bytes[12 + i] ^= static_cast<std::uint8_t>(process >> (8 * i));
  }
  return id;
}

// What one contender does: reserves single pieces until none is left, eight at a time.
inline std::int64_t reserve_until_sold_out(StateStoreEngine& engine, const std::string& id) {
  AsyncRunner runner;
  auto store = engine.open(runner.executor()).value();
  std::int64_t reserved = 0;
  int running = 8;
  std::string failed;
  const auto one = [&]() -> boost::asio::awaitable<void> {
    for (;;) {
      const ReserveRequest request{own_uuid(), id, 1, system_clock().wall()};
      auto got = co_await store->reserve(request);
      if (!got) {
        if (got.error().code != Errc::sold_out) failed = got.error().one_line();
        break;
      }
      ++reserved;
    }
    --running;
  };
  for (int i = 0; i < 8; ++i) boost::asio::co_spawn(runner.loop(), one(), [](std::exception_ptr) {});
  if (!runner.run_until([&] { return running == 0; }, 60s)) failed = "not done in time";
  if (!failed.empty()) throw std::runtime_error(failed);
  return reserved;
}

TEST_P(StateStoreContract, StockIsAvailableReservedAndConfirmedAtEveryStep) {
  expect_counts(put("p1", 10), 10, 0, 0);
  const auto first = reserve("p1", 4).value();
  const auto second = reserve("p1", 3).value();
  expect_counts(get("p1"), 3, 7, 0);
  EXPECT_EQ(settle(first, SettleOutcome::confirmed), 1);
  expect_counts(get("p1"), 3, 3, 4);
  EXPECT_EQ(settle(second, SettleOutcome::returned), 1);
  expect_counts(get("p1"), 6, 0, 4);
}

TEST_P(StateStoreContract, SettlingAgainChangesNothing) {
  put("p1", 10);
  const auto r = reserve("p1", 4).value();
  EXPECT_EQ(settle(r, SettleOutcome::confirmed), 1);
  EXPECT_EQ(settle(r, SettleOutcome::confirmed), 0);
  EXPECT_EQ(settle(r, SettleOutcome::returned), 0);
  expect_counts(get("p1"), 6, 0, 4);
  EXPECT_EQ(settle({new_uuid(), "no-such-product"}, SettleOutcome::returned), 0);
}

TEST_P(StateStoreContract, SettlesManyReservationsOfManyProductsAtOnce) {
  put("a", 100, 4);
  put("b", 100);
  std::vector<Settlement> all;
  for (int i = 0; i < 60; ++i) {
    const auto r = reserve(i % 2 == 0 ? "a" : "b", 1).value();
    all.push_back({r.order_id, r.product_id, r.bucket,
                   i % 3 == 0 ? SettleOutcome::returned : SettleOutcome::confirmed});
  }
  EXPECT_EQ(run(store().settle(all)).value(), 60);
  EXPECT_EQ(run(store().settle(all)).value(), 0);
  expect_counts(get("a"), 80, 0, 20);
  expect_counts(get("b"), 80, 0, 20);
  EXPECT_EQ(run(store().settle({})).value(), 0);
}

TEST_P(StateStoreContract, SameOrderGetsTheSameReservationAndItsAgeStartsAgain) {
  put("p1", 10);
  const Uuid order = new_uuid();
  const auto first = reserve("p1", 4, order).value();
  EXPECT_EQ(first.reserved_at, now_);
  now_ += 5s;
  const auto again = reserve("p1", 4, order).value();
  EXPECT_EQ(again.bucket, first.bucket);
  EXPECT_EQ(again.quantity, 4);
  EXPECT_EQ(again.reserved_at, now_);
  expect_counts(get("p1"), 6, 4, 0);
  const auto stale = run(store().stale_reservations(now_, 10)).value();
  EXPECT_TRUE(stale.empty());  // a reaper must not return what a retry is about to append
}

TEST_P(StateStoreContract, ReservesAnewWhatWasReturned) {
  put("p1", 10);
  const Uuid order = new_uuid();
  settle(reserve("p1", 4, order).value(), SettleOutcome::returned);
  ASSERT_TRUE(reserve("p1", 4, order));
  expect_counts(get("p1"), 6, 4, 0);
}

TEST_P(StateStoreContract, SellsOutAtExactlyZero) {
  put("p1", 3);
  ASSERT_TRUE(reserve("p1", 2));
  EXPECT_EQ(reserve("p1", 2).error().code, Errc::sold_out);
  ASSERT_TRUE(reserve("p1", 1));
  EXPECT_EQ(reserve("p1", 1).error().code, Errc::sold_out);
  expect_counts(get("p1"), 0, 3, 0);
}

TEST_P(StateStoreContract, RefusesWhatIsUnknownOrSenseless) {
  EXPECT_EQ(reserve("nothing").error().code, Errc::not_found);
  EXPECT_EQ(run(store().get_product("nothing")).error().code, Errc::not_found);
  put("p1", 3);
  EXPECT_EQ(reserve("p1", 0).error().code, Errc::invalid_argument);
  EXPECT_EQ(reserve("p1", -1).error().code, Errc::invalid_argument);
  EXPECT_EQ(run(store().put_product("p1", -1, 1)).error().code, Errc::invalid_argument);
  EXPECT_EQ(run(store().put_product("p1", 5, 0)).error().code, Errc::invalid_argument);
  EXPECT_EQ(run(store().put_product("p}1", 5, 1)).error().code, Errc::invalid_argument);
  expect_counts(get("p1"), 3, 0, 0);
}

TEST_P(StateStoreContract, EmptyBucketsSpillToOthersUntilAllAreEmpty) {
  put("p1", 12, 4);
  std::set<std::int32_t> used;
  std::vector<Reservation> all;
  for (int i = 0; i < 12; ++i) {
    auto r = reserve("p1");
    ASSERT_TRUE(r) << i;
    EXPECT_EQ(r->buckets, 4);
    used.insert(r->bucket);
    all.push_back(*r);
  }
  EXPECT_EQ(used, (std::set<std::int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(reserve("p1").error().code, Errc::sold_out);
  expect_counts(get("p1"), 0, 12, 0);
  for (const Reservation& r : all) {  // also those that were spilled keep their place
    EXPECT_EQ(reserve("p1", 1, r.order_id).value().bucket, r.bucket);
  }
  settle(all[0], SettleOutcome::returned);  // room in a bucket: the others must not move there
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_EQ(reserve("p1", 1, all[i].order_id).value().bucket, all[i].bucket);
  }
  expect_counts(get("p1"), 1, 11, 0);
}

TEST_P(StateStoreContract, ChangesStockAndBucketsWithoutLosingAPiece) {
  struct Step {
    std::int64_t stock;
    std::int32_t buckets;
  };
  put("p1", 20, 2);
  std::vector<Reservation> all;
  for (int i = 0; i < 8; ++i) all.push_back(reserve("p1").value());
  for (const Step step : {Step{30, 2}, Step{30, 5}, Step{15, 5}, Step{15, 1}, Step{8, 1}, Step{40, 3}}) {
    const ProductStock p = put("p1", step.stock, step.buckets);
    EXPECT_EQ(p.buckets, step.buckets);
    expect_counts(p, step.stock - 8, 8, 0);
    expect_counts(get("p1"), step.stock - 8, 8, 0);
    EXPECT_EQ(get("p1").buckets, step.buckets);
  }
  for (const Reservation& r : all) EXPECT_EQ(settle(r, SettleOutcome::confirmed), 1);  // wherever they were
  expect_counts(get("p1"), 32, 0, 8);
  for (int i = 0; i < 32; ++i) ASSERT_TRUE(reserve("p1")) << i;
  EXPECT_EQ(reserve("p1").error().code, Errc::sold_out);
}

TEST_P(StateStoreContract, RefusesStockBelowWhatIsUsed) {
  for (const std::int32_t buckets : {1, 3}) {
    const std::string id = "p" + std::to_string(buckets);
    put(id, 10, buckets);
    for (int i = 0; i < 6; ++i) {
      const auto r = reserve(id).value();
      if (i < 3) settle(r, SettleOutcome::confirmed);
    }
    EXPECT_EQ(run(store().put_product(id, 5, buckets)).error().code, Errc::invalid_argument);
    expect_counts(get(id), 4, 3, 3);
    expect_counts(put(id, 6, buckets), 0, 3, 3);
    EXPECT_EQ(reserve(id).error().code, Errc::sold_out);
  }
}

TEST_P(StateStoreContract, RestoresAProductToTheLedgersFigures) {
  put("p1", 10, 3);
  const auto lost = reserve("p1", 2).value();
  ASSERT_TRUE(run(store().restore_product("p1", 50, 20, 2)));
  expect_counts(get("p1"), 30, 0, 20);
  EXPECT_EQ(settle(lost, SettleOutcome::confirmed), 0);  // forgotten
  expect_counts(get("p1"), 30, 0, 20);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(reserve("p1")) << i;
  EXPECT_EQ(reserve("p1").error().code, Errc::sold_out);
  ASSERT_TRUE(run(store().restore_product("new", 5, 5, 1)));
  expect_counts(get("new"), 0, 0, 5);
  EXPECT_EQ(run(store().restore_product("new", 4, 5, 1)).error().code, Errc::invalid_argument);
}

TEST_P(StateStoreContract, IsRestoredOnceMarked) {
  EXPECT_FALSE(run(store().is_restored()).value());
  ASSERT_TRUE(run(store().mark_restored()));
  EXPECT_TRUE(run(store().is_restored()).value());
  auto other = engine_->open(runner_.executor()).value();
  EXPECT_TRUE(run(other->is_restored()).value());
}

TEST_P(StateStoreContract, ListsStaleReservationsOldestFirstUpToTheLimit) {
  put("a", 100, 3);
  put("b", 100);
  const WallTime start = now_;
  std::vector<Uuid> order;
  for (const int age : {3, 1, 4, 0, 2, 5}) {
    now_ = start + std::chrono::seconds{age};
    const auto r = reserve(age % 2 == 0 ? "a" : "b", age + 1).value();
    order.resize(6);
    order[static_cast<std::size_t>(age)] = r.order_id;
  }
  auto stale = run(store().stale_reservations(start + 4s, 10)).value();
  ASSERT_EQ(stale.size(), 4U);  // strictly older
  for (std::size_t i = 0; i < stale.size(); ++i) {
    EXPECT_EQ(stale[i].order_id, order[i]);
    EXPECT_EQ(stale[i].product_id, i % 2 == 0 ? "a" : "b");
    EXPECT_EQ(stale[i].quantity, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(stale[i].reserved_at, start + std::chrono::seconds{i});
  }
  stale = run(store().stale_reservations(start + 1h, 2)).value();
  ASSERT_EQ(stale.size(), 2U);
  EXPECT_EQ(stale[1].order_id, order[1]);
  settle(stale[0], SettleOutcome::returned);  // it says all that is needed to end it
  EXPECT_EQ(run(store().stale_reservations(start + 1h, 10)).value().size(), 5U);
  expect_counts(get("a"), 100 - 3 - 5, 3 + 5, 0);
}

TEST_P(StateStoreContract, NeverOversellsUnderEightContenders) {
  constexpr std::int64_t kStock = 2000;
  for (const std::int32_t buckets : {1, 4}) {
    store_.reset();  // nothing is open when processes split
    const std::string id = "hot" + std::to_string(buckets);
    const auto counts = engine_->contend(
        8, [&](int) { return reserve_until_sold_out(*engine_, id); }, [&] { put(id, kStock, buckets); });
    ASSERT_EQ(counts.size(), 8U);
    std::int64_t sum = 0;
    for (const std::int64_t count : counts) {
      EXPECT_GE(count, 0);
      sum += count;
    }
    EXPECT_EQ(sum, kStock);
    expect_counts(get(id), 0, kStock, 0);
  }
}

TEST_P(StateStoreContract, KeyIsFreshThenPendingThenAnswered) {
  const Uuid first = new_uuid(), second = new_uuid();
  auto claimed = claim("k", "body", first).value();
  EXPECT_EQ(claimed.state, KeyClaim::State::fresh);
  EXPECT_EQ(claimed.order_id, first);
  EXPECT_EQ(claim("k", "body", second).value().state, KeyClaim::State::pending);
  EXPECT_EQ(claim("k", "body", first).value().state, KeyClaim::State::fresh);  // its owner repeats
  ASSERT_TRUE(run(store().answer_key("client", "k", R"({"orderId":"1"})", 1h)));
  claimed = claim("k", "body", second).value();
  EXPECT_EQ(claimed.state, KeyClaim::State::answered);
  EXPECT_EQ(claimed.answer, R"({"orderId":"1"})");
  EXPECT_EQ(claimed.order_id, first);
  ASSERT_TRUE(run(store().answer_key("client", "k", "another", 1h)));
  EXPECT_EQ(claim("k", "body", first).value().answer, R"({"orderId":"1"})");  // the first answer stays
}

TEST_P(StateStoreContract, KeyWithAnotherBodyIsAMismatch) {
  claim("k", "body", new_uuid()).value();
  EXPECT_EQ(claim("k", "other", new_uuid()).value().state, KeyClaim::State::mismatch);
  ASSERT_TRUE(run(store().answer_key("client", "k", "answer", 1h)));
  EXPECT_EQ(claim("k", "other", new_uuid()).value().state, KeyClaim::State::mismatch);
}

TEST_P(StateStoreContract, KeysOfDifferentScopesDoNotMeet) {
  const auto claim_in = [&](const std::string& scope, const std::string& key) {
    return run(store().claim_key({scope, key, "body", new_uuid(), now_})).value().state;
  };
  EXPECT_EQ(claim_in("a", "bc"), KeyClaim::State::fresh);
  EXPECT_EQ(claim_in("ab", "c"), KeyClaim::State::fresh);
  EXPECT_EQ(claim_in("", "abc"), KeyClaim::State::fresh);
  EXPECT_EQ(claim_in("a{b}:", std::string{"c\0\r\n*1\r\n", 9}), KeyClaim::State::fresh);
  EXPECT_EQ(claim_in("a{b}:", std::string{"c\0\r\n*1\r\n", 9}), KeyClaim::State::pending);
}

TEST_P(StateStoreContract, DeadOwnersKeyIsTakenOverWithItsOrder) {
  const Uuid first = new_uuid(), second = new_uuid(), third = new_uuid();
  claim("k", "body", first).value();
  now_ += 9'999ms;
  EXPECT_EQ(claim("k", "body", second).value().state, KeyClaim::State::pending);
  now_ += 1ms;
  const auto taken = claim("k", "body", second).value();
  EXPECT_EQ(taken.state, KeyClaim::State::taken_over);
  EXPECT_EQ(taken.order_id, first);
  EXPECT_EQ(claim("k", "body", third).value().state, KeyClaim::State::pending);  // the lease began again
}

TEST_P(StateStoreContract, ReleasedKeyIsFreshAgainUnlessAnswered) {
  const Uuid first = new_uuid(), second = new_uuid();
  claim("k", "body", first).value();
  ASSERT_TRUE(run(store().release_key("client", "k", second)));  // not its owner
  EXPECT_EQ(claim("k", "body", second).value().state, KeyClaim::State::pending);
  ASSERT_TRUE(run(store().release_key("client", "k", first)));
  EXPECT_EQ(claim("k", "other", second).value().state, KeyClaim::State::fresh);
  ASSERT_TRUE(run(store().answer_key("client", "k", "answer", 1h)));
  ASSERT_TRUE(run(store().release_key("client", "k", second)));
  EXPECT_EQ(claim("k", "other", first).value().state, KeyClaim::State::answered);
}

TEST_P(StateStoreContract, AnswersAreKeptAsLongAsAsked) {
  claim("k", "body", new_uuid(), 1h).value();
  ASSERT_TRUE(run(store().answer_key("client", "k", "answer", engine_->moment())));
  EXPECT_EQ(claim("k", "body", new_uuid()).value().state, KeyClaim::State::answered);
  engine_->pass(engine_->moment() + 20ms);
  EXPECT_EQ(claim("k", "other", new_uuid()).value().state, KeyClaim::State::fresh);
  ASSERT_TRUE(run(store().answer_key("client", "never-claimed", "answer", 1h)));
  EXPECT_EQ(claim("never-claimed", "body", new_uuid()).value().state, KeyClaim::State::fresh);
}

TEST_P(StateStoreContract, ConcurrentClaimsGiveExactlyOneFresh) {
  store_.reset();
  const auto counts = engine_->contend(
      8,
      [&](int) {
        AsyncRunner runner;
        auto store = engine_->open(runner.executor()).value();
        std::int64_t fresh = 0;
        int running = 200;
        const auto one = [&](int key) -> boost::asio::awaitable<void> {
          const ClaimRequest request{"s", "k" + std::to_string(key), "body", own_uuid(), now_};
          auto claimed = co_await store->claim_key(request);
          if (claimed.value().state == KeyClaim::State::fresh) ++fresh;
          --running;
        };
        for (int i = 0; i < 200; ++i) boost::asio::co_spawn(runner.loop(), one(i), [](std::exception_ptr) {});
        return runner.run_until([&] { return running == 0; }) ? fresh : -1;
      },
      [] {});
  std::int64_t sum = 0;
  for (const std::int64_t count : counts) {
    ASSERT_GE(count, 0);
    sum += count;
  }
  EXPECT_EQ(sum, 200);
}

TEST_P(StateStoreContract, TokensComeAtTheRateUpToTheBurst) {
  const auto take = [&] { return run(store().take_token("c", 10, 5, now_)).value(); };
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(take().allowed) << i;
  auto refused = take();
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.retry_after, 100ms);
  now_ += 60ms;
  refused = take();
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.retry_after, 40ms);
  now_ += 40ms;
  EXPECT_TRUE(take().allowed);
  EXPECT_FALSE(take().allowed);
  now_ += 250ms;  // two and a half tokens
  EXPECT_TRUE(take().allowed);
  EXPECT_TRUE(take().allowed);
  EXPECT_EQ(take().retry_after, 50ms);
  now_ += 1h;  // never more than the burst
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(take().allowed) << i;
  EXPECT_FALSE(take().allowed);
  now_ -= 1min;  // a caller's clock is behind: no tokens out of nothing
  EXPECT_FALSE(take().allowed);
  EXPECT_TRUE(run(store().take_token("another", 10, 5, now_)).value().allowed);
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(run(store().take_token("free", 0, 0, now_)).value().allowed);
  EXPECT_TRUE(run(store().take_token("slow", 0.1, 0, now_)).value().allowed);  // a burst is at least one
  EXPECT_EQ(run(store().take_token("slow", 0.1, 0, now_)).value().retry_after, 10s);
}

TEST_P(StateStoreContract, CacheForgetsAfterItsTime) {
  const std::string bytes{"\0\xff binary \r\n", 12};
  EXPECT_EQ(run(store().cache_get("k")).value(), std::nullopt);
  ASSERT_TRUE(run(store().cache_put("k", bytes, engine_->moment())));
  ASSERT_TRUE(run(store().cache_put("long", "", 1h)));
  EXPECT_EQ(run(store().cache_get("k")).value(), bytes);
  engine_->pass(engine_->moment() + 20ms);
  EXPECT_EQ(run(store().cache_get("k")).value(), std::nullopt);
  EXPECT_EQ(run(store().cache_get("long")).value(), "");
  ASSERT_TRUE(run(store().cache_put("long", "new", 1h)));
  EXPECT_EQ(run(store().cache_get("long")).value(), "new");
  ASSERT_TRUE(run(store().cache_put("other", "x", 1h)));
  ASSERT_TRUE(run(store().cache_drop({"long", "other", "absent"})));
  EXPECT_EQ(run(store().cache_get("long")).value(), std::nullopt);
  EXPECT_EQ(run(store().cache_get("other")).value(), std::nullopt);
}

TEST_P(StateStoreContract, LeaseHasOneOwnerAndTokensThatGrow) {
  const Duration ttl = engine_->moment();
  const auto acquire = [&](const std::string& owner) {
    return run(store().acquire_lease("reaper", owner, ttl)).value();
  };
  const auto first = acquire("a");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->owner, "a");
  EXPECT_EQ(acquire("b"), std::nullopt);
  EXPECT_EQ(acquire("a")->token, first->token);  // renewed
  engine_->pass(ttl + 20ms);
  const auto second = acquire("b");
  ASSERT_TRUE(second);
  EXPECT_GT(second->token, first->token);
  EXPECT_EQ(acquire("a"), std::nullopt);
  ASSERT_TRUE(run(store().release_lease(*first)));  // a former owner's release does nothing
  EXPECT_EQ(acquire("a"), std::nullopt);
  ASSERT_TRUE(run(store().release_lease(*second)));
  EXPECT_GT(acquire("a")->token, second->token);
  EXPECT_TRUE(run(store().acquire_lease("{other}", "b", ttl)).value());
}

TEST_P(StateStoreContract, ManyCallsAtOnceAllComplete) {
  put("p1", 10'000);
  std::int64_t reserved = 0;
  int running = 500;
  const auto one = [&](int i) -> boost::asio::awaitable<void> {
    for (int round = 0; round < 4; ++round) {
      const ReserveRequest request{new_uuid(), "p1", 1, now_};
      if (co_await store().reserve(request)) ++reserved;
      const std::string key = "c" + std::to_string(i);
      (co_await store().cache_put(key, key, 1h)).value();
      EXPECT_EQ((co_await store().cache_get(key)).value(), key);
    }
    --running;
  };
  for (int i = 0; i < 500; ++i) boost::asio::co_spawn(runner_.loop(), one(i), [](std::exception_ptr) {});
  ASSERT_TRUE(runner_.run_until([&] { return running == 0; }));
  EXPECT_EQ(reserved, 2000);
  expect_counts(get("p1"), 8000, 2000, 0);
}

TEST_P(StateStoreContract, StoresSeeEachOthersWrites) {
  auto other = engine_->open(runner_.executor()).value();
  put("p1", 5, 2);
  const auto r = run(other->reserve({new_uuid(), "p1", 1, now_})).value();
  expect_counts(get("p1"), 4, 1, 0);
  put("p1", 8, 4);  // the other store learns of the new buckets
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(run(other->reserve({new_uuid(), "p1", 1, now_}))) << i;
  EXPECT_EQ(run(other->reserve({new_uuid(), "p1", 1, now_})).error().code, Errc::sold_out);
  EXPECT_EQ(settle(r, SettleOutcome::confirmed), 1);
  expect_counts(run(other->get_product("p1")).value(), 0, 7, 1);
  EXPECT_TRUE(run(other->ping()));
}

}  // namespace flux::testing
