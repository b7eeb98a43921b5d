// Reservations through the embedded state store with 256 in flight, against a
// bare SQLite loop that writes the same rows in batches of 256; and three
// processes at once.
//   bench_embedded_reserve [reservations]
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/engines/embedded/embedded_engines.hpp"
#include "tests/fakes/run_async.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace {

using namespace flux;

constexpr int kInFlight = 256;

double seconds_since(SteadyTime begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

double ours(const std::string& directory, int count) {
  testing::AsyncRunner runner;
  auto store = embedded::open_state_store({.directory = directory}, runner.executor()).value();
  runner.run(store->put_product("p", 1'000'000'000, 1)).value();
  int left = count, running = kInFlight;
  const auto one = [&]() -> boost::asio::awaitable<void> {
    while (left-- > 0) {
      const ReserveRequest request{new_uuid(), "p", 1, system_clock().wall()};
      auto reserved = co_await store->reserve(request);
      if (!reserved) std::fprintf(stderr, "%s\n", reserved.error().one_line().c_str());
    }
    --running;
  };
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < kInFlight; ++i) boost::asio::co_spawn(runner.loop(), one(), [](std::exception_ptr) {});
  runner.run_until([&] { return running == 0; }, std::chrono::minutes{2});
  return count / seconds_since(begun);
}

double bare(const std::string& file, int count) {
  sqlite3* database = nullptr;
  sqlite3_open(file.c_str(), &database);
  sqlite3_exec(database,
               "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4000;"
               "CREATE TABLE bucket (product INTEGER, bucket INTEGER, available INTEGER, reserved INTEGER,"
               " confirmed INTEGER, PRIMARY KEY (product, bucket)) WITHOUT ROWID;"
               "CREATE TABLE reservation (order_id BLOB, product INTEGER, bucket INTEGER, buckets INTEGER,"
               " quantity INTEGER, reserved_at INTEGER, PRIMARY KEY (order_id, product)) WITHOUT ROWID;"
               "CREATE INDEX reservation_age ON reservation (reserved_at);"
               "INSERT INTO bucket VALUES (1, 0, 1000000000, 0, 0)",
               nullptr, nullptr, nullptr);
  sqlite3_stmt *update = nullptr, *insert = nullptr;
  sqlite3_prepare_v2(database,
                     "UPDATE bucket SET available = available - 1, reserved = reserved + 1"
                     " WHERE product = 1 AND bucket = 0 AND available >= 1",
                     -1, &update, nullptr);
  sqlite3_prepare_v2(database, "INSERT INTO reservation VALUES (?, 1, 0, 1, 1, ?)", -1, &insert, nullptr);
  const auto begun = std::chrono::steady_clock::now();
  for (int done = 0; done < count; done += kInFlight) {
    sqlite3_exec(database, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr);
    for (int i = 0; i < kInFlight; ++i) {
      sqlite3_step(update);
      sqlite3_reset(update);
      const Uuid order = new_uuid();
      sqlite3_bind_blob(insert, 1, order.bytes.data(), 16, SQLITE_STATIC);
      sqlite3_bind_int64(insert, 2, order.unix_ms() * 1000);
      sqlite3_step(insert);
      sqlite3_reset(insert);
    }
    sqlite3_exec(database, "COMMIT", nullptr, nullptr, nullptr);
  }
  const double rate = count / seconds_since(begun);
  sqlite3_finalize(update);
  sqlite3_finalize(insert);
  sqlite3_close(database);
  return rate;
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 100'096;
  for (int round = 0; round < 3; ++round) {
    const testing::ScratchDirectory directory;
    const double flux = ours(directory / "flux", count);
    const double floor = bare(directory / "bare.db", count);
    std::printf("flux %.0f/s, bare SQLite %.0f/s, ratio %.2f\n", flux, floor, flux / floor);
  }
  const testing::ScratchDirectory directory;
  std::array<pid_t, 3> processes{};
  std::fflush(stdout);
  for (pid_t& process : processes) {
    process = ::fork();
    if (process != 0) continue;
    std::printf("one of three processes at once: %.0f/s\n", ours(directory / "shared", count / 2));
    std::fflush(stdout);
    ::_exit(0);
  }
  for (const pid_t process : processes) ::waitpid(process, nullptr, 0);
  return 0;
}
