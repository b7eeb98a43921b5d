// The state store contract over the embedded engine and the fake.
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "common/engines/embedded/embedded_engines.hpp"
#include "tests/contract/state_store_contract.hpp"
#include "tests/fakes/fake_state_store.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace flux::testing {
namespace {

namespace fs = std::filesystem;

class EmbeddedEngine final : public StateStoreEngine {
 public:
  Result<std::unique_ptr<StateStore>> open(boost::asio::any_io_executor loop) override {
    return embedded::open_state_store({.directory = directory_.path(), .clock = &clock_}, std::move(loop));
  }
  void pass(Duration time) override { clock_.advance(time); }

 private:
  ScratchDirectory directory_;
  ManualClock clock_;
};

class FakeEngine final : public StateStoreEngine {
 public:
  Result<std::unique_ptr<StateStore>> open(boost::asio::any_io_executor) override {
    return std::unique_ptr<StateStore>{std::make_unique<FakeStateStore>(data_)};
  }
  void pass(Duration time) override { clock_.advance(time); }
  std::vector<std::int64_t> contend(int count, std::function<std::int64_t(int)> work,
                                    std::function<void()> start) override {
    start();
    std::vector<std::int64_t> values(static_cast<std::size_t>(count));
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < count; ++i)
        threads.emplace_back([&, i] { values[static_cast<std::size_t>(i)] = work(i); });
    }
    return values;
  }

 private:
  ManualClock clock_;
  std::shared_ptr<FakeStateData> data_ = std::make_shared<FakeStateData>(clock_);
};

INSTANTIATE_TEST_SUITE_P(Embedded, StateStoreContract,
                         ::testing::Values([] { return std::make_unique<EmbeddedEngine>(); }),
                         [](const auto&) { return "Engine"; });
INSTANTIATE_TEST_SUITE_P(Fake, StateStoreContract,
                         ::testing::Values([] { return std::make_unique<FakeEngine>(); }),
                         [](const auto&) { return "Engine"; });

Result<std::unique_ptr<StateStore>> open_in(const std::string& directory, AsyncRunner& runner,
                                            Duration timeout = 5s) {
  return embedded::open_state_store({.directory = directory, .state_timeout = timeout}, runner.executor());
}

TEST(EmbeddedStateStore, SaysWhichFileIsDamaged) {
  const ScratchDirectory directory;
  std::ofstream{directory / "state.db"} << std::string(8192, 'x');
  AsyncRunner runner;
  const auto opened = open_in(directory.path(), runner);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::corrupted);
  EXPECT_NE(opened.error().message.find("state.db"), std::string::npos);
}

TEST(EmbeddedStateStore, ReportsDamageFoundWhileItWorks) {
  const ScratchDirectory directory;
  {
    AsyncRunner runner;
    auto store = open_in(directory.path(), runner).value();
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(runner.run(store->put_product("p" + std::to_string(i), 5, 1)));
      ASSERT_TRUE(runner.run(store->cache_put("k" + std::to_string(i), std::string(2000, 'v'), 1h)));
    }
  }
  {
    const std::string file = directory.path() + "/state.db";
    std::fstream damaged{file, std::ios::in | std::ios::out | std::ios::binary};
    const auto size = static_cast<std::streamoff>(fs::file_size(file));
    damaged.seekp(4096);
    damaged << std::string(static_cast<std::size_t>(size - 4096), '\x5a');
  }
  AsyncRunner runner;
  auto store = open_in(directory.path(), runner);
  const Error error =
      store ? runner.run((*store)->reserve({new_uuid(), "p1", 1, system_clock().wall()})).error()
            : store.error();
  EXPECT_EQ(error.code, Errc::corrupted) << error.one_line();
}

// A child process, as the limit of the file size is the process's.
TEST(EmbeddedStateStore, FullDiskIsReportedAndOverWhenThereIsSpace) {
  const ScratchDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    const auto whole = limit.rlim_cur;
    int verdict = 1;
    try {
      AsyncRunner runner;
      auto store = open_in(directory.path(), runner).value();
      runner.run(store->put_product("p", 5, 1)).value();
      limit.rlim_cur = 512 << 10;
      ::setrlimit(RLIMIT_FSIZE, &limit);
      Result<> put;
      for (int i = 0; i < 1000 && put; ++i) {
        put = runner.run(store->cache_put("k" + std::to_string(i), std::string(4000, 'v'), 1h));
      }
      if (put || put.error().code != Errc::exhausted)
        throw std::runtime_error("not reported as exhausted: " + (put ? "no error" : put.error().one_line()));
      limit.rlim_cur = whole;
      ::setrlimit(RLIMIT_FSIZE, &limit);
      runner.run(store->reserve({new_uuid(), "p", 1, system_clock().wall()})).value();
      verdict = runner.run(store->get_product("p")).value().available == 4 ? 0 : 1;
    } catch (const std::exception& failed) {
      std::fprintf(stderr, "%s\n", failed.what());
    }
    ::_exit(verdict);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

// Acknowledged is kept: a process is killed at random moments while it reserves.
TEST(EmbeddedStateStore, KilledProcessLosesNothingThatWasAcknowledged) {
  const ScratchDirectory directory;
  std::int64_t told = 0;
  constexpr int kKills = 20;
  {
    AsyncRunner runner;
    auto store = open_in(directory.path(), runner).value();
    runner.run(store->put_product("p", 1'000'000, 4)).value();
  }
  for (int kill = 0; kill < kKills; ++kill) {
    std::array<int, 2> told_pipe{};
    ASSERT_EQ(::pipe(told_pipe.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      AsyncRunner runner;
      auto store = open_in(directory.path(), runner).value();
      for (int i = 0; i < 32; ++i) {
        boost::asio::co_spawn(
            runner.loop(),
            [&]() -> boost::asio::awaitable<void> {
              for (;;) {
                const ReserveRequest request{own_uuid(), "p", 1, system_clock().wall()};
                auto r = co_await store->reserve(request);
                const char byte = r ? 'r' : 'f';
                if (::write(told_pipe[1], &byte, 1) != 1) ::_exit(1);
              }
            },
            [](std::exception_ptr) {});
      }
      runner.run_until([] { return false; }, 20s);
      ::_exit(0);
    }
    ::close(told_pipe[1]);
    std::string bytes(65536, '\0');
    // Wait for a different number of answers each time, then kill.
    std::int64_t seen = 0;
    for (ssize_t got = 1; got > 0;) {
      got = ::read(told_pipe[0], bytes.data(), bytes.size());
      if (got > 0) {
        EXPECT_EQ(bytes.substr(0, static_cast<std::size_t>(got)).find('f'), std::string::npos);
        seen += got;
      }
      if (seen > 50 * (kill + 1) && got > 0) ::kill(child, SIGKILL);
    }
    ::close(told_pipe[0]);
    ::waitpid(child, nullptr, 0);
    told += seen;
  }
  AsyncRunner runner;
  auto store = open_in(directory.path(), runner).value();
  const auto product = runner.run(store->get_product("p")).value();
  std::printf("%d kills: %lld acknowledged, %lld in the file\n", kKills, static_cast<long long>(told),
              static_cast<long long>(product.reserved));
  EXPECT_GE(product.reserved, told);
  EXPECT_LE(product.reserved, told + kKills * 32);  // in flight at the kill
  EXPECT_EQ(product.available + product.reserved, 1'000'000);
  EXPECT_EQ(runner.run(store->stale_reservations(system_clock().wall() + 1h, 10'000'000)).value().size(),
            static_cast<std::size_t>(product.reserved));
}

TEST(EmbeddedStateStore, AnswersInTimeWhileAnotherProcessHoldsTheLock) {
  const ScratchDirectory directory;
  AsyncRunner runner;
  std::array<int, 2> ready{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    AsyncRunner own;
    auto store = open_in(directory.path(), own).value();
    // Stopped in the middle of a transaction, as by a debugger or a frozen container.
    for (int i = 0;; ++i) {
      own.run(store->cache_put("k", std::string(100'000, 'v'), 1h)).value();
      if (i == 10 && ::write(ready[1], "x", 1) != 1) ::_exit(1);
    }
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  auto store = open_in(directory.path(), runner, 300ms).value();
  bool was_late = false;
  // Stop it again and again until that happens while it holds the lock.
  for (int i = 0; i < 2000 && !was_late; ++i) {
    // At another moment of its work each time.
    const auto stop_at = std::chrono::steady_clock::now() + std::chrono::microseconds{i * 37 % 2000};
    while (std::chrono::steady_clock::now() < stop_at) {
    }
    ::kill(child, SIGSTOP);
    const auto before = std::chrono::steady_clock::now();
    const auto pinged = runner.run(store->ping());
    EXPECT_LT(std::chrono::steady_clock::now() - before, 3s);
    was_late = !pinged;
    if (was_late) {
      EXPECT_EQ(pinged.error().code, Errc::timed_out);
    }
    ::kill(child, SIGCONT);
  }
  EXPECT_TRUE(was_late);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(runner.run(store->ping()));  // a dead process holds nothing
}

TEST(FakeStateStore, FailsAsOrderedAndThenWorksAgain) {
  FakeStateStore store;
  AsyncRunner runner;
  runner.run(store.put_product("p", 5, 1)).value();
  store.fail_next({Errc::unavailable, "down"});
  store.fail_next({Errc::timed_out, "late"}, true);
  const auto reserve = [&] { return runner.run(store.reserve({new_uuid(), "p", 1, WallTime{}})); };
  EXPECT_EQ(reserve().error().code, Errc::unavailable);
  EXPECT_EQ(reserve().error().code, Errc::timed_out);
  EXPECT_EQ(runner.run(store.get_product("p")).value().reserved, 1);  // its effect took place
  store.fail_all({Errc::unavailable, "down"});
  EXPECT_FALSE(reserve());
  EXPECT_FALSE(runner.run(store.ping()));
  store.recover();
  EXPECT_TRUE(reserve());
  store.data().lose_everything();
  EXPECT_EQ(reserve().error().code, Errc::not_found);
}

}  // namespace
}  // namespace flux::testing
