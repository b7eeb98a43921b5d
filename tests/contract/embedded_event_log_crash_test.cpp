// Kills appending and consuming processes at random moments: whatever was
// acknowledged is in the log and settled exactly once.

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "common/engines/embedded/embedded_engines.hpp"
#include "tests/contract/settling_file.hpp"
#include "tests/fakes/eventually.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace flux::testing {
namespace {

constexpr int kKills = 100;

class Child {
 public:
  Child(std::string mode, const std::string& directory) : mode_(std::move(mode)), directory_(directory) {
    start();
  }
  ~Child() { kill(); }
  Child(Child&& other) noexcept
      : mode_(std::move(other.mode_)),
        directory_(std::move(other.directory_)),
        pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;

  void start() {
    std::string program = CHILD_PROGRAM;
    char* const arguments[] = {program.data(), mode_.data(), directory_.data(), nullptr};
    ASSERT_EQ(::posix_spawn(&pid_, CHILD_PROGRAM, nullptr, nullptr, arguments, environ), 0);
  }
  void kill() {
    if (pid_ <= 0) return;
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, WNOHANG), 0) << "a child ended by itself: " << mode_;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
  }

 private:
  std::string mode_;
  std::string directory_;
  pid_t pid_ = -1;
};

TEST(EmbeddedEventLogCrash, NothingAcknowledgedIsLostAndNothingIsSettledTwice) {
  const ScratchDirectory directory;
  const auto log = std::move(embedded::open_event_log({.directory = directory.path()}).value());
  ASSERT_TRUE(log->ensure_topics({{.name = "orders", .partitions = 6}}));
  SettlingFile ledger{directory.path()};

  std::mt19937 random{20240229};
  {
    std::vector<Child> children;
    for (const char* mode : {"append", "append", "consume", "consume"})
      children.emplace_back(mode, directory.path());
    for (int kill = 0; kill < kKills; ++kill) {
      // Not waiting for anything: the moment is meant to be random.
      std::this_thread::sleep_for(std::chrono::milliseconds{20 + random() % 150});
      Child& victim = children[random() % children.size()];
      victim.kill();
      victim.start();
    }
  }

  std::int64_t stored = 0;
  for (const std::int64_t end : log->end_offsets("orders").value()) stored += end;
  {
    const Child consumer{"consume", directory.path()};
    EXPECT_TRUE(eventually(std::chrono::seconds{30}, [&] {
      return ledger.number("SELECT coalesce(sum(next_offset), 0) FROM offsets") == stored;
    }));
  }
  std::int64_t acknowledged = 0;
  std::int64_t missing = 0;
  for (const auto& file : std::filesystem::directory_iterator{directory.path()}) {
    if (!file.path().filename().string().starts_with("acknowledged-")) continue;
    std::ifstream lines{file.path()};
    for (std::string value; std::getline(lines, value); ++acknowledged) missing += ledger.has(value) ? 0 : 1;
  }
  const std::int64_t settled = ledger.number("SELECT count(*) FROM settled");
  const std::int64_t doubled = ledger.number("SELECT count(*) FROM settled WHERE times <> 1");
  std::printf("killed %d times: %ld acknowledged, %ld stored, %ld settled, %ld missing, %ld settled twice\n",
              kKills, static_cast<long>(acknowledged), static_cast<long>(stored), static_cast<long>(settled),
              static_cast<long>(missing), static_cast<long>(doubled));
  EXPECT_GT(acknowledged, 1000);
  EXPECT_EQ(missing, 0);
  EXPECT_EQ(doubled, 0);
  EXPECT_EQ(settled, stored);
}

}  // namespace
}  // namespace flux::testing
