// The embedded event log against a bare SQLite insert loop of the same bytes:
// appends in batches of 256 from three processes, reading a backlog, and the
// time from an append in one process to its record in another.
//
//   bench_event_log [seconds per measurement]

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "common/engines/embedded/embedded_engines.hpp"
#include "tests/fakes/run_async.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace flux {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int kBatch = 256;
constexpr int kWriters = 3;
constexpr int kKeys = 1000;
constexpr std::size_t kValueBytes = 200;

double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

void must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "bench_event_log: %s failed\n", what);
  std::exit(1);
}

std::unique_ptr<EventLog> open_log(const std::string& directory) {
  auto log = embedded::open_event_log({.directory = directory});
  must(log.has_value(), "opening the log");
  return std::move(*log);
}

// Rows of key and value, one transaction per batch, WAL, every commit fsynced.
double bare_inserts_per_second(double seconds) {
  const testing::ScratchDirectory directory;
  sqlite3* database = nullptr;
  must(sqlite3_open((directory / "bare.db").c_str(), &database) == SQLITE_OK, "sqlite3_open");
  must(sqlite3_exec(database,
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;"
                    "CREATE TABLE records(id INTEGER PRIMARY KEY, key TEXT, value BLOB)",
                    nullptr, nullptr, nullptr) == SQLITE_OK,
       "creating the table");
  sqlite3_stmt* insert = nullptr;
  must(sqlite3_prepare_v2(database, "INSERT INTO records(key, value) VALUES(?,?)", -1, &insert, nullptr) ==
           SQLITE_OK,
       "preparing");
  const std::string value(kValueBytes, 'v');
  std::int64_t written = 0;
  const auto start = Steady::now();
  while (seconds_since(start) < seconds) {
    sqlite3_exec(database, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr);
    for (int i = 0; i < kBatch; ++i) {
      const std::string key = "product-" + std::to_string((written + i) % kKeys);
      sqlite3_bind_text(insert, 1, key.c_str(), static_cast<int>(key.size()), SQLITE_STATIC);
      sqlite3_bind_blob(insert, 2, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
      must(sqlite3_step(insert) == SQLITE_DONE, "insert");
      sqlite3_reset(insert);
    }
    must(sqlite3_exec(database, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK, "commit");
    written += kBatch;
  }
  const double rate = static_cast<double>(written) / seconds_since(start);
  sqlite3_finalize(insert);
  sqlite3_close(database);
  return rate;
}

std::int64_t append_batches(const std::string& directory, double seconds, int in_flight_batches) {
  testing::AsyncRunner runner;
  const auto log = open_log(directory);
  const auto producer = std::move(*log->producer(runner.executor()));
  const std::string value(kValueBytes, 'v');
  std::int64_t started = 0;
  std::int64_t done = 0;
  const auto start = Steady::now();
  const auto begin_batch = [&] {
    for (int i = 0; i < kBatch; ++i, ++started) {
      boost::asio::co_spawn(runner.loop(),
                            producer->append({"orders", "product-" + std::to_string(started % kKeys), value}),
                            [&](std::exception_ptr, Result<RecordPosition> result) {
                              must(result.has_value(), "append");
                              ++done;
                            });
    }
  };
  while (seconds_since(start) < seconds) {
    while (started - done <= kBatch * (in_flight_batches - 1)) begin_batch();
    const std::int64_t before = done;
    must(runner.run_until([&] { return done >= before + kBatch; }), "waiting for a batch");
  }
  must(runner.run_until([&] { return done == started; }), "waiting for the last batches");
  return done;
}

double appended_per_second(const std::string& directory, double seconds, int in_flight_batches) {
  std::vector<int> results;
  const auto start = Steady::now();
  for (int i = 0; i < kWriters; ++i) {
    int ends[2];
    must(::pipe(ends) == 0, "pipe");
    const pid_t child = ::fork();
    must(child >= 0, "fork");
    if (child == 0) {
      const std::int64_t count = append_batches(directory, seconds, in_flight_batches);
      must(::write(ends[1], &count, sizeof count) == sizeof count, "write");
      ::_exit(0);
    }
    ::close(ends[1]);
    results.push_back(ends[0]);
  }
  std::int64_t total = 0;
  std::string shares;
  for (const int result : results) {
    std::int64_t count = 0;
    must(::read(result, &count, sizeof count) == sizeof count, "a writer");
    ::close(result);
    total += count;
    shares += " " + std::to_string(count);
  }
  while (::wait(nullptr) > 0) {
  }
  std::printf("    shares of the %d writers:%s\n", kWriters, shares.c_str());
  return static_cast<double>(total) / seconds_since(start);
}

void measure_backlog(const std::string& directory) {
  const auto log = open_log(directory);
  const auto consumer = std::move(*log->consumer({.group = "bench", .topics = {"orders"}}));
  std::int64_t total = 0;
  for (const std::int64_t end : *log->end_offsets("orders")) total += end;
  const auto start = Steady::now();
  std::int64_t read = 0;
  while (read < total) {
    const auto records = consumer->poll(1000, std::chrono::seconds{1});
    must(records.has_value() && !records->empty(), "poll");
    read += static_cast<std::int64_t>(records->size());
  }
  const double rate = static_cast<double>(read) / seconds_since(start);
  std::printf("read a backlog of %ld records, one consumer, polls of 1000: %.0f/s\n", static_cast<long>(read),
              rate);
}

// One process appends, one at a time; this one consumes.
void measure_wake_up(double seconds) {
  const testing::ScratchDirectory directory;
  must(open_log(directory.path())->ensure_topics({{.name = "pings"}}).has_value(), "ensure_topics");
  const auto now_ns = [] { return Steady::now().time_since_epoch().count(); };
  const pid_t child = ::fork();
  if (child == 0) {
    testing::AsyncRunner runner;
    const auto log = open_log(directory.path());
    const auto producer = std::move(*log->producer(runner.executor()));
    const auto start = Steady::now();
    for (int i = 0; seconds_since(start) < seconds; ++i) {
      const std::int64_t sent = now_ns();
      must(runner.run(producer->append({"pings", std::to_string(i), std::to_string(sent)})).has_value(),
           "append");
      ::usleep(1000);
    }
    must(runner.run(producer->append({"pings", "end", "end"})).has_value(), "append");
    ::_exit(0);
  }
  const auto log = open_log(directory.path());
  const auto consumer = std::move(*log->consumer({.group = "bench", .topics = {"pings"}}));
  std::vector<double> latencies;
  for (bool ended = false; !ended;) {
    const auto records = consumer->poll(1000, std::chrono::seconds{5});
    must(records.has_value() && !records->empty(), "poll");
    for (const ConsumedRecord& record : *records) {
      if (record.value == "end") {
        ended = true;
      } else {
        latencies.push_back(static_cast<double>(now_ns() - std::stoll(record.value)) / 1e6);
      }
    }
  }
  ::waitpid(child, nullptr, 0);
  std::sort(latencies.begin(), latencies.end());
  const auto at = [&](double share) {
    return latencies[static_cast<std::size_t>(share * static_cast<double>(latencies.size() - 1))];
  };
  std::printf(
      "append in one process to poll in another: p50 %.2f ms, p99 %.2f ms, max %.2f ms (%zu records)\n",
      at(0.5), at(0.99), at(1.0), latencies.size());
}

void run(double seconds) {
  const testing::ScratchDirectory directory;
  must(open_log(directory.path())->ensure_topics({{.name = "orders"}}).has_value(), "ensure_topics");
  std::printf("records of %zu bytes, batches of %d, %d writer processes, 12 partitions\n", kValueBytes,
              kBatch, kWriters);
  for (const int in_flight : {1, 4}) {
    double bare = 0;
    double ours = 0;
    for (int round = 0; round < 2; ++round) {  // interleaved, so that a slow disk hits both
      bare += bare_inserts_per_second(seconds) / 2;
      ours += appended_per_second(directory.path(), seconds, in_flight) / 2;
    }
    std::printf("append, %d batch(es) in flight per writer: %.0f/s; bare SQLite loop: %.0f/s; ratio %.2f\n",
                in_flight, ours, bare, ours / bare);
  }
  measure_backlog(directory.path());
  measure_wake_up(seconds);
}

}  // namespace
}  // namespace flux

int main(int argc, char** argv) {
  ::setvbuf(stdout, nullptr, _IOLBF, 0);
  flux::run(argc > 1 ? std::atof(argv[1]) : 3.0);
}
