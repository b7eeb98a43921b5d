// The ledger contract over the embedded engine, and what can happen to its file:
// killed writers, a full disk, damage.

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "common/engines/embedded/embedded_engines.hpp"
#include "tests/contract/ledger_contract.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace flux::testing {
namespace {

using std::chrono::milliseconds;

class EmbeddedHouse final : public LedgerHouse {
 public:
  Result<std::unique_ptr<Ledger>> open() override {
    return embedded::open_ledger({.directory = directory_ / "data"});
  }

 private:
  ScratchDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(, LedgerContract,
                         ::testing::Values(LedgerKind{"Embedded",
                                                      [](std::string&) -> std::unique_ptr<LedgerHouse> {
                                                        return std::make_unique<EmbeddedHouse>();
                                                      }}),
                         kind_name);

class EmbeddedLedgerTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Ledger>> open() const {
    return embedded::open_ledger({.directory = directory_.path()});
  }

  static std::vector<Order> orders(std::size_t count) {
    std::vector<Order> made;
    for (std::size_t i = 0; i < count; ++i)
      made.push_back(
          {.id = new_uuid(), .product_id = "p", .quantity = 1, .user_id = "u", .accepted_at = kNoon});
    return made;
  }

  const ScratchDirectory directory_;
};

// Settles batches of ten on one partition until it fails or is killed; tells the
// offset of each acknowledged one.
void settle_for_ever(Ledger& ledger, std::int32_t partition, int acknowledged) {
  const auto held = ledger.claim_partition("inventory", {"orders", partition});
  if (!held) ::_exit(2);
  for (std::int64_t from = held->next_offset;; from += 10) {
    std::vector<Order> batch;
    for (int i = 0; i < 10; ++i)
      batch.push_back(
          {.id = new_uuid(), .product_id = "p", .quantity = 1, .user_id = "u", .accepted_at = kNoon});
    const auto settled = ledger.settle_orders({{&*held, from, from + 10}}, batch, kNoon);
    if (!settled) ::_exit(settled.error().code == Errc::exhausted ? 3 : 4);
    const std::int64_t to = from + 10;
    if (::write(acknowledged, &to, sizeof to) != sizeof to) ::_exit(5);
  }
}

std::int64_t last_told(int descriptor) {
  std::int64_t last = 0;
  for (std::int64_t told = 0; ::read(descriptor, &told, sizeof told) == sizeof told;) last = told;
  return last;
}

TEST_F(EmbeddedLedgerTest, LosesNothingAcknowledgedWhenWritersAreKilled) {
  constexpr int kKills = 100;
  constexpr int kWriters = 2;
  ASSERT_TRUE(open().value()->put_product({.product_id = "p", .stock = kMaxStock}));
  std::mt19937 random{42};
  std::int64_t acknowledged[kWriters]{};
  for (int kill_count = 0; kill_count < kKills; kill_count += kWriters) {
    pid_t writers[kWriters];
    int told[kWriters];
    for (int i = 0; i < kWriters; ++i) {
      int ends[2];
      ASSERT_EQ(::pipe(ends), 0);
      writers[i] = ::fork();
      if (writers[i] == 0) {
        ::close(ends[0]);
        auto ledger = open();
        if (!ledger) ::_exit(1);
        settle_for_ever(**ledger, i, ends[1]);
      }
      ::close(ends[1]);
      told[i] = ends[0];
    }
    for (int i = 0; i < kWriters; ++i) {
      // The moment is the point of this test; nothing is waited for.
      std::this_thread::sleep_for(milliseconds{random() % 25});
      ::kill(writers[i], SIGKILL);
    }
    for (int i = 0; i < kWriters; ++i) {
      int status = 0;
      ::waitpid(writers[i], &status, 0);
      EXPECT_TRUE(WIFSIGNALED(status)) << "a writer failed with exit code " << WEXITSTATUS(status);
      acknowledged[i] = std::max(acknowledged[i], last_told(told[i]));
      ::close(told[i]);
    }
  }
  const auto ledger = open().value();
  const auto offsets = ledger->next_offsets("inventory", "orders", kWriters).value();
  std::int64_t settled = 0;
  for (int i = 0; i < kWriters; ++i) {
    EXPECT_GE(offsets[static_cast<std::size_t>(i)], acknowledged[i]) << "acknowledged orders are gone";
    settled += offsets[static_cast<std::size_t>(i)];
  }
  EXPECT_EQ(ledger->get_product("p").value().confirmed, settled) << "stock and offsets disagree";
  std::cout << kKills << " kills, " << settled << " orders settled, " << acknowledged[0] + acknowledged[1]
            << " acknowledged, none lost or doubled\n";
  EXPECT_GT(settled, 0);
}

TEST_F(EmbeddedLedgerTest, SaysThatTheDiskIsFullAndKeepsWhatItAcknowledged) {
  ASSERT_TRUE(open().value()->put_product({.product_id = "p", .stock = kMaxStock}));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t writer = ::fork();
  if (writer == 0) {
    ::close(ends[0]);
    auto ledger = open();
    // No file of this process may grow further: the nearest thing to a full disk.
    const rlimit limit{300 << 10, 300 << 10};
    ::signal(SIGXFSZ, SIG_IGN);
    if (!ledger || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(1);
    settle_for_ever(**ledger, 0, ends[1]);
  }
  ::close(ends[1]);
  const std::int64_t acknowledged = last_told(ends[0]);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(writer, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3) << "not reported as a full disk";
  const auto ledger = open().value();
  EXPECT_GT(acknowledged, 0);
  EXPECT_EQ(ledger->next_offsets("inventory", "orders", 1).value().front(), acknowledged);
  const auto held = ledger->claim_partition("inventory", {"orders", 0}).value();
  EXPECT_TRUE(ledger->settle_orders({{&held, acknowledged, acknowledged + 5}}, orders(5), kNoon))
      << "there is space again";
}

TEST_F(EmbeddedLedgerTest, NamesADamagedFile) {
  {
    const auto ledger = open().value();
    ASSERT_TRUE(ledger->put_product({.product_id = "p", .stock = kMaxStock}));
    const auto held = ledger->claim_partition("inventory", {"orders", 0}).value();
    ASSERT_TRUE(ledger->settle_orders({{&held, 0, 5000}}, orders(5000), kNoon));
  }
  const std::string file = directory_ / "ledger.db";
  ASSERT_FALSE(std::filesystem::exists(file + "-wal")) << "the last one out checkpoints";
  const auto size = std::filesystem::file_size(file);
  std::fstream damaged{file, std::ios::in | std::ios::out | std::ios::binary};
  for (std::uintmax_t at = 4096; at < size; at += 512) {
    damaged.seekp(static_cast<std::streamoff>(at));
    damaged << "damage damage damage";
  }
  damaged.close();
  auto ledger = open();
  auto error = ledger ? std::optional<Error>{} : ledger.error();
  if (ledger)
    if (auto products = (*ledger)->list_products(); !products) error = products.error();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, Errc::corrupted) << error->one_line();
  EXPECT_THAT(error->message, ::testing::HasSubstr("ledger.db"));
  EXPECT_FALSE(error->retryable);
  EXPECT_FALSE(error->hint.empty());

  std::ofstream{file, std::ios::trunc} << "this is not a database, whatever its name says";
  ledger = open();
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, Errc::corrupted) << ledger.error().one_line();
}

TEST_F(EmbeddedLedgerTest, TimesOutOnAStoppedWriterAndGoesOnAfterIt) {
  const auto ledger = open().value();
  ASSERT_TRUE(ledger->put_product({.product_id = "p", .stock = kMaxStock}));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t writer = ::fork();
  if (writer == 0) {
    auto other = embedded::open_ledger({.directory = directory_.path()});
    if (!other) ::_exit(1);
    settle_for_ever(**other, 0, ends[1]);
  }
  ::close(ends[1]);
  std::int64_t told = 0;
  ASSERT_EQ(::read(ends[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
  // Stop it until it is caught with the turn in its hands.
  Result<> put;
  for (int tries = 0; tries < 50 && put; ++tries) {
    ::kill(writer, SIGSTOP);
    int status = 0;
    ::waitpid(writer, &status, WUNTRACED);
    const auto start = std::chrono::steady_clock::now();
    put = ledger->put_product({.product_id = "q", .stock = 1});
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds{8});
    EXPECT_TRUE(ledger->get_product("p")) << "readers never wait";
    if (put) ::kill(writer, SIGCONT);
  }
  ::kill(writer, SIGKILL);
  ::waitpid(writer, nullptr, 0);
  ::close(ends[0]);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, Errc::timed_out) << put.error().one_line();
  EXPECT_TRUE(ledger->put_product({.product_id = "q", .stock = 2}))
      << "the turn of a killed process passes on";
}

TEST_F(EmbeddedLedgerTest, RefusesAFileOfANewerFlux) {
  { open().value(); }
  // The file's user_version is at offset 60 of its header, big-endian.
  std::fstream file{directory_ / "ledger.db", std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(60);
  file.write("\0\0\x27\x0f", 4);
  file.close();
  const auto ledger = open();
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, Errc::refused) << ledger.error().one_line();
}

}  // namespace
}  // namespace flux::testing
