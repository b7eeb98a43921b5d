#pragma once
// The inventory group: reads order events, settles them in the ledger together
// with the offset, then tells the state store and the group's mirror.

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <stop_token>
#include <unordered_map>

#include "common/order/order.hpp"
#include "common/ports/event_log.hpp"
#include "common/ports/ledger.hpp"
#include "common/ports/state_store.hpp"
#include "daemons/worker/partition_claims.hpp"
#include "daemons/worker/retry_backoff.hpp"

namespace flux::worker {

// Written by the settling thread, read by whoever shows metrics.
struct SettleCounters {
  std::atomic<std::uint64_t> confirmed{0};
  std::atomic<std::uint64_t> rejected{0};
  std::atomic<std::uint64_t> dead_lettered{0};
  std::atomic<std::uint64_t> batches{0};
  std::atomic<std::uint64_t> ledger_failures{0};
  std::atomic<std::int64_t> settled_at_ms{0};  // Unix time of the last settled batch
  std::atomic<bool> stalled{false};            // the ledger or the log does not take our writes
};

struct SettleOptions {
  std::string group = "inventory";
  std::string topic = "orders";
  std::string member_name;
  std::size_t batch = 5000;
  Duration poll_wait = std::chrono::milliseconds{100};
  BackoffPolicy backoff{std::chrono::milliseconds{50}, std::chrono::seconds{5}};
};

// One consumer. Everything runs on the thread that calls run().
class OrderSettler {
 public:
  OrderSettler(EventLog& log, Ledger& ledger, StateStore& store, boost::asio::io_context& loop,
               SettleOptions options, SettleCounters& counters);

  // Until `stop`: finishes the batch in hand, leaves the group, returns.
  Result<> run(std::stop_token stop);

 private:
  struct Batch {
    std::vector<ConsumedRecord> records;  // in order within each partition
    bool empty() const { return records.empty(); }
  };

  Result<> connect();
  void drop_records_of(const std::vector<TopicPartition>& partitions);
  Result<> settle(Batch& batch);
  Result<> send_dead_letters(const std::vector<const ConsumedRecord*>& poison);
  void tell_state_store(const std::vector<SettledOrder>& settled);
  void mirror_offsets();
  Result<> keep_membership();

  EventLog& log_;
  Ledger& ledger_;
  StateStore& store_;
  boost::asio::io_context& loop_;
  SettleOptions options_;
  SettleCounters& counters_;
  PartitionClaims claims_;
  std::unique_ptr<EventProducer> producer_;
  std::unique_ptr<EventConsumer> consumer_;
  Batch batch_;
  std::vector<std::pair<TopicPartition, std::int64_t>> unmirrored_;
  bool paused_ = false;
};

}  // namespace flux::worker
