#pragma once
// librdkafka's built-in mock cluster: brokers in this process that can be told to
// refuse, to be slow and to be gone.

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <stdexcept>
#include <string>

#include "common/engines/distributed/kafka/handles.hpp"
#include "common/engines/distributed/kafka/kafka_engine.hpp"

namespace flux::kafka {

inline constexpr std::int16_t kProduceRequest = 0;

class MockBrokers {
 public:
  explicit MockBrokers(int brokers = 1) {
    char why[256];
    rd_kafka_conf_t* const conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, [](const rd_kafka_t*, int, const char*, const char*) {});
    host_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why));
    if (!host_) throw std::runtime_error(why);
    cluster_.reset(rd_kafka_mock_cluster_new(host_.get(), brokers));
  }

  rd_kafka_mock_cluster_t* get() { return cluster_.get(); }
  void create_topic(const std::string& name, int partitions) {
    rd_kafka_mock_topic_create(cluster_.get(), name.c_str(), partitions, 1);
  }
  void go_down() { rd_kafka_mock_broker_set_down(cluster_.get(), 1); }
  void come_up() { rd_kafka_mock_broker_set_up(cluster_.get(), 1); }
  void answer_after(std::chrono::milliseconds delay) {
    rd_kafka_mock_broker_set_rtt(cluster_.get(), 1, static_cast<int>(delay.count()));
  }

  KafkaOptions options() const {
    return {.brokers = rd_kafka_mock_cluster_bootstraps(cluster_.get()), .properties = {}};
  }

 private:
  ClientHandle host_;
  std::unique_ptr<rd_kafka_mock_cluster_t, FreeWith<rd_kafka_mock_cluster_destroy>> cluster_;
};

}  // namespace flux::kafka
