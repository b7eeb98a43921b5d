#pragma once
// One librdkafka client (a producer, a consumer or an admin client) together with
// what its callbacks tell: why the brokers cannot be reached, and who has which
// partitions. Its logs go to flux::log at debug level.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "common/core/result.hpp"
#include "common/engines/distributed/kafka/handles.hpp"
#include "common/engines/distributed/kafka/kafka_engine.hpp"

namespace flux::kafka {

class Client {
 public:
  using RebalanceHook = std::function<void(rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*)>;

  // Starts the client's threads; does not wait for a broker. The hook, if any, is
  // called inside rd_kafka_consumer_poll.
  static Result<std::unique_ptr<Client>> start(rd_kafka_type_t type, ConfHandle conf,
                                               const KafkaOptions& options, RebalanceHook hook = {});
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  rd_kafka_t* get() const { return handle_.get(); }

  // "cannot reach Kafka at … (connection refused)", with what to do about it.
  Error unreachable() const;
  // The Error for a code of librdkafka or of a broker; `doing` is what was tried,
  // e.g. "append to topic orders".
  Error failure(rd_kafka_resp_err_t code, const std::string& doing) const;
  // The first fatal error of the client, else `code`.
  rd_kafka_resp_err_t root_cause(rd_kafka_resp_err_t code) const;

  // Every broker refused or dropped the connection, and none has come back since
  // mark_reachable(). Known only while somebody polls the client.
  bool all_brokers_down() const { return all_down_.load(std::memory_order_relaxed); }
  void mark_reachable() { all_down_.store(false, std::memory_order_relaxed); }
  void note_error(rd_kafka_resp_err_t code);

 private:
  explicit Client(const KafkaOptions& options, RebalanceHook hook);
  static void on_log(const rd_kafka_t* client, int level, const char* facility, const char* text);
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* self);
  static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code,
                           rd_kafka_topic_partition_list_t* partitions, void* self);

  const std::string brokers_;
  const std::string origin_;
  const RebalanceHook hook_;
  mutable std::mutex mutex_;
  std::string last_transport_error_;  // guarded by mutex_
  std::atomic<bool> all_down_{false};
  ClientHandle handle_;  // last: its threads use the members above
};

// What a log line of librdkafka says about a connection, for people:
// "127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused
// (after 0ms in state CONNECT)" -> "connection refused".
std::string transport_reason(const std::string& log_line);

}  // namespace flux::kafka
