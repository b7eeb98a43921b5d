// Reservations through our client against redis-benchmark running the same
// script with the same pipelining on one connection, in turns on one server.
//   FLUX_REDIS_URL=redis://127.0.0.1:6379 bench_redis_reserve [reservations]
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "common/engines/distributed/redis/redis_engine.hpp"
#include "common/engines/distributed/redis/script.hpp"
#include "common/engines/distributed/redis/server_address.hpp"
#include "tests/fakes/run_async.hpp"

namespace {

using namespace flux;

constexpr int kInFlight = 256;

double ours(StateStore& store, testing::AsyncRunner& runner, const std::string& product, int count) {
  int left = count, running = kInFlight, failed = 0;
  const auto one = [&]() -> boost::asio::awaitable<void> {
    while (left-- > 0) {
      const ReserveRequest request{new_uuid(), product, 1, system_clock().wall()};
      auto reserved = co_await store.reserve(request);
      if (!reserved) ++failed;
    }
    --running;
  };
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < kInFlight; ++i) boost::asio::co_spawn(runner.loop(), one(), [](std::exception_ptr) {});
  runner.run_until([&] { return running == 0; }, std::chrono::minutes{2});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  if (failed > 0) std::fprintf(stderr, "%d reservations failed\n", failed);
  return count / took.count();
}

double theirs(int port, const std::string& product, int count) {
  const std::string tag = "{p:" + product + ":b0}:";
  const std::string command =
      "redis-benchmark -h 127.0.0.1 -p " + std::to_string(port) + " -n " + std::to_string(count) +
      " -c 1 -P " + std::to_string(kInFlight) + " -r 1000000000 --csv EVALSHA " +
      redis::script(redis::ScriptName::reserve).digest + " 4 '" + tag + "stock' '" + tag + "reserved' '" +
      tag + "ages' '" + tag + "spilled' ordr__rand_int__ 1 1700000000000000 1 home";
  FILE* output = ::popen(command.c_str(), "r");
  if (output == nullptr) return 0;
  std::string line(4096, '\0'), last;
  while (std::fgets(line.data(), static_cast<int>(line.size()), output) != nullptr) last = line.c_str();
  ::pclose(output);
  // "…command…","requests per second","average latency",…
  const auto end = last.find("\",\"");
  return end == std::string::npos ? 0 : std::strtod(last.c_str() + end + 3, nullptr);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const char* url = std::getenv("FLUX_REDIS_URL");
  if (url == nullptr) {
    std::fprintf(stderr, "FLUX_REDIS_URL is not set; start a server with scripts/servers start redis\n");
    return 2;
  }
  const int count = argc > 1 ? std::atoi(argv[1]) : 100'000;
  redis::RedisOptions options;
  options.url = url;
  testing::AsyncRunner runner;
  auto store = redis::open_state_store(options, runner.executor());
  const auto address = redis::parse_url(url);
  if (!store || !address) return 2;
  std::vector<double> our_rates, their_rates;
  for (int round = 0; round < 5; ++round) {
    const std::string product = "bench-" + new_uuid().to_string();
    for (const char* who : {"a", "b"})
      runner.run((*store)->put_product(product + who, 1'000'000'000, 1)).value();
    our_rates.push_back(ours(**store, runner, product + "a", count));
    their_rates.push_back(theirs(address->address.port, product + "b", count));
    std::printf("round %d: flux %.0f/s, redis-benchmark %.0f/s\n", round + 1, our_rates.back(),
                their_rates.back());
    for (const char* who : {"a", "b"}) runner.run((*store)->restore_product(product + who, 0, 0, 1)).value();
  }
  std::printf("median: flux %.0f/s, redis-benchmark %.0f/s, ratio %.2f (at least 0.7)\n", median(our_rates),
              median(their_rates), median(our_rates) / median(their_rates));
  return 0;
}
