// Our Kafka producer against librdkafka's own tight produce loop, with the same
// batching, acknowledgements and number of records under way, taking turns in one run on one broker.
//
//   FLUX_KAFKA_BROKERS=… bench_kafka_produce [records per measurement]

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "common/core/ids.hpp"
#include "common/engines/distributed/kafka/handles.hpp"
#include "common/engines/distributed/kafka/kafka_engine.hpp"
#include "common/engines/distributed/kafka/properties.hpp"
#include "tests/fakes/run_async.hpp"

namespace flux {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int kKeys = 1000;
// Records under way at most, for both: a larger window makes larger batches.
constexpr int kInFlight = 50'000;
constexpr int kRounds = 5;
constexpr std::size_t kValueBytes = 200;

double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

void must(bool good, const std::string& what) {
  if (good) return;
  std::fprintf(stderr, "bench_kafka_produce: %s\n", what.c_str());
  std::exit(1);
}

std::string key_of(int i) {
  return "product-" + std::to_string(i % kKeys);
}

double librdkafka_loop(const kafka::KafkaOptions& options, const std::string& topic, int records) {
  auto conf = kafka::producer_properties(options);
  must(conf.has_value(), "the properties");
  static long failed;
  failed = 0;
  rd_kafka_conf_set_dr_msg_cb(conf->get(), [](rd_kafka_t*, const rd_kafka_message_t* m, void*) {
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) ++failed;
  });
  char why[256];
  const kafka::ClientHandle client{rd_kafka_new(RD_KAFKA_PRODUCER, conf->release(), why, sizeof why)};
  must(client != nullptr, why);
  const kafka::TopicHandle into{rd_kafka_topic_new(client.get(), topic.c_str(), nullptr)};
  const std::string value(kValueBytes, 'v');
  const auto produce = [&](const std::string& key) {
    while (rd_kafka_produce(into.get(), RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                            const_cast<char*>(value.data()), value.size(), key.data(), key.size(),
                            nullptr) != 0)
      rd_kafka_poll(client.get(), 1);  // full
    rd_kafka_poll(client.get(), 0);
  };
  produce("warm-up");
  must(rd_kafka_flush(client.get(), 20'000) == RD_KAFKA_RESP_ERR_NO_ERROR, "no broker");
  const auto start = Steady::now();
  for (int i = 0; i < records; ++i) produce(key_of(i));
  rd_kafka_flush(client.get(), 60'000);
  const double rate = records / seconds_since(start);
  must(failed == 0, "the tight loop lost records");
  return rate;
}

struct Measured {
  double rate = 0;
  double p50_ms = 0;  // of one append at a time
};

Measured our_producer(EventLog& log, const std::string& topic, int records) {
  testing::AsyncRunner runner;
  auto producer = log.producer(runner.executor()).value();
  const std::string value(kValueBytes, 'v');
  int next = 0;
  int acknowledged = 0;
  const auto append = [&](std::string key) -> boost::asio::awaitable<bool> {
    Record record{.topic = topic, .key = std::move(key), .value = value};
    const auto position = co_await producer->append(std::move(record));
    co_return position.has_value();
  };
  must(runner.run(append("warm-up")), "no broker");
  std::vector<double> waits;
  for (int i = 0; i < 100; ++i) {
    const auto start = Steady::now();
    must(runner.run(append(key_of(i))), "an append failed");
    waits.push_back(seconds_since(start) * 1e3);
  }
  std::sort(waits.begin(), waits.end());
  const auto client = [&]() -> boost::asio::awaitable<void> {
    while (next < records) {
      Record record{.topic = topic, .key = key_of(next++), .value = value};
      if (co_await producer->append(std::move(record))) ++acknowledged;
    }
  };
  const auto start = Steady::now();
  for (int i = 0; i < kInFlight; ++i)
    boost::asio::co_spawn(runner.loop(), client(), [](std::exception_ptr) {});
  runner.loop().restart();
  while (acknowledged < records && seconds_since(start) < 120)
    runner.loop().run_for(std::chrono::milliseconds{50});
  must(acknowledged == records, "our producer lost records");
  return {.rate = records / seconds_since(start), .p50_ms = waits[waits.size() / 2]};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(int records) {
  const char* const brokers = std::getenv("FLUX_KAFKA_BROKERS");
  must(brokers != nullptr, "set FLUX_KAFKA_BROKERS (scripts/servers start kafka)");
  const kafka::KafkaOptions options{.brokers = brokers,
                                    .properties = {},
                                    .delivery_timeout = std::chrono::seconds{60},
                                    .max_queued_records = kInFlight};
  auto log = kafka::open_event_log(options).value();
  const std::string topic = "bench-" + new_uuid().to_string();
  must(log->ensure_topics({{.name = topic, .partitions = 12}}).has_value(), "creating the topic");
  static_cast<void>(librdkafka_loop(options, topic, records / 4));  // warms the broker up
  std::vector<double> theirs, ours, ratios, waits;
  for (int round = 0; round < kRounds; ++round) {
    theirs.push_back(librdkafka_loop(options, topic, records));
    const Measured measured = our_producer(*log, topic, records);
    ours.push_back(measured.rate);
    waits.push_back(measured.p50_ms);
    ratios.push_back(ours.back() / theirs.back());
    std::printf("round %d: librdkafka %.0f records/s, flux %.0f records/s, ratio %.2f\n", round + 1,
                theirs.back(), ours.back(), ratios.back());
  }
  std::printf("median: librdkafka %.0f records/s, flux %.0f records/s, ratio %.2f (at least 0.8)\n",
              median(theirs), median(ours), median(ratios));
  std::printf("one append at a time, linger 2 ms: p50 %.2f ms\n", median(waits));
  return 0;
}

}  // namespace
}  // namespace flux

int main(int argc, char** argv) {
  return flux::run(argc > 1 ? std::atoi(argv[1]) : 300'000);
}
