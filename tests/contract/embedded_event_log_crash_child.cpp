// What embedded_event_log_crash_test kills: `append DIR` appends for ever and
// writes down what was acknowledged; `consume DIR` settles for ever.

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string_view>

#include "common/engines/embedded/embedded_engines.hpp"
#include "tests/contract/settling_file.hpp"
#include "tests/fakes/run_async.hpp"

namespace flux::testing {
namespace {

constexpr int kInFlight = 64;

[[noreturn]] void append_for_ever(EventLog& log, const std::string& directory) {
  AsyncRunner runner;
  const auto producer = std::move(log.producer(runner.executor()).value());
  const std::string me = std::to_string(::getpid());
  const int acknowledged =
      ::open((directory + "/acknowledged-" + me).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  int under_way = 0;
  for (int number = 0;; ++number) {
    std::string value = me + ":" + std::to_string(number);
    std::string line = value + "\n";
    ++under_way;
    boost::asio::co_spawn(runner.loop(),
                          producer->append({"orders", std::to_string(number % 50), std::move(value)}),
                          [&, line](std::exception_ptr, Result<RecordPosition> result) {
                            --under_way;
                            // In the page cache it outlives this process.
                            if (result && ::write(acknowledged, line.data(), line.size()) < 0) std::abort();
                          });
    if (!runner.run_until([&] { return under_way < kInFlight; })) std::abort();
  }
}

class Settler final : public RebalanceListener {
 public:
  explicit Settler(const std::string& directory) : ledger_(directory) {}

  Result<std::vector<std::optional<std::int64_t>>> assigned(
      const std::vector<TopicPartition>& partitions) override {
    std::vector<std::optional<std::int64_t>> offsets;
    for (const TopicPartition& source : partitions) {
      const auto claim = ledger_.claim(source.partition);
      epochs_[source] = claim.epoch;
      offsets.push_back(claim.next_offset);
    }
    return offsets;
  }
  void revoked(const std::vector<TopicPartition>& partitions, bool) override {
    for (const TopicPartition& source : partitions) epochs_.erase(source);
  }
  void settle(EventConsumer& consumer, std::vector<ConsumedRecord> records) {
    std::map<TopicPartition, std::vector<ConsumedRecord>> by_source;
    for (ConsumedRecord& record : records) by_source[record.source].push_back(std::move(record));
    for (const auto& [source, some] : by_source) {
      if (ledger_.settle(source.partition, epochs_[source], some)) {
        (void)consumer.commit({{source, some.back().offset + 1}});
      }
    }
  }

 private:
  SettlingFile ledger_;
  std::map<TopicPartition, std::int64_t> epochs_;
};

[[noreturn]] void consume_for_ever(EventLog& log, const std::string& directory) {
  Settler settler{directory};
  const auto consumer = std::move(log.consumer({.group = "inventory",
                                                .topics = {"orders"},
                                                .session_timeout = std::chrono::milliseconds{700},
                                                .listener = &settler})
                                      .value());
  for (;;) {
    auto records = consumer->poll(500, std::chrono::milliseconds{200});
    if (records) settler.settle(*consumer, std::move(*records));
  }
}

}  // namespace
}  // namespace flux::testing

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string directory = argv[2];
  const auto log = std::move(flux::embedded::open_event_log({.directory = directory}).value());
  if (std::string_view{argv[1]} == "append") flux::testing::append_for_ever(*log, directory);
  flux::testing::consume_for_ever(*log, directory);
}
