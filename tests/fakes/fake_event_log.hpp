#pragma once
// An event log in memory for unit tests: keeps the whole contract within one
// process, and fails on demand. Copies of the handle (`view()`) share one log,
// as processes share a real one. Thread-safe like the port.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/clock.hpp"
#include "common/ports/event_log.hpp"

namespace flux::testing {

struct FakeLogState;

class FakeEventLog final : public EventLog {
 public:
  // Session timeouts follow the clock.
  explicit FakeEventLog(const Clock& clock = system_clock());
  ~FakeEventLog() override;

  std::unique_ptr<EventLog> view() const;  // the same log once more

  // --- faults -------------------------------------------------------------
  void fail_next_append(Error error);           // nothing is stored
  void fail_next_append_maybe(bool is_stored);  // `maybe_persisted`, and stored or not
  void delay_acknowledgements(Duration by);     // from now on; stored at once
  // From now on everything fails with this; nullopt: works again.
  void fail_everything(std::optional<Error> error);

  // --- looking ------------------------------------------------------------
  std::vector<ConsumedRecord> records(const std::string& topic) const;  // by partition, then offset
  std::size_t record_count(const std::string& topic) const;

  Result<std::unique_ptr<EventProducer>> producer(boost::asio::any_io_executor loop) override;
  Result<std::unique_ptr<EventConsumer>> consumer(const ConsumerOptions& options) override;
  Result<> ensure_topics(const std::vector<TopicSpec>& topics) override;
  Result<std::int32_t> partition_count(const std::string& topic) override;
  Result<std::vector<std::int64_t>> end_offsets(const std::string& topic) override;
  Result<std::vector<std::optional<std::int64_t>>> committed_offsets(const std::string& group,
                                                                     const std::string& topic) override;
  Result<> ping(Duration timeout) override;

 private:
  explicit FakeEventLog(std::shared_ptr<FakeLogState> state);
  std::shared_ptr<FakeLogState> state_;
};

}  // namespace flux::testing
