#include "common/engines/distributed/kafka/kafka_engine.hpp"

#include <utility>

#include "common/engines/distributed/kafka/kafka_consumer.hpp"
#include "common/engines/distributed/kafka/kafka_producer.hpp"
#include "common/engines/distributed/kafka/properties.hpp"
#include "common/engines/distributed/kafka/topic_admin.hpp"

namespace flux::kafka {
namespace {

class KafkaEventLog final : public EventLog {
 public:
  KafkaEventLog(KafkaOptions options, TopicAdmin admin)
      : options_{std::move(options)}, admin_{std::move(admin)} {}

  Result<std::unique_ptr<EventProducer>> producer(boost::asio::any_io_executor loop) override {
    return make_producer(options_, std::move(loop));
  }
  Result<std::unique_ptr<EventConsumer>> consumer(const ConsumerOptions& options) override {
    return make_consumer(options_, options);
  }
  Result<> ensure_topics(const std::vector<TopicSpec>& topics) override {
    return admin_.ensure(topics, deadline());
  }
  Result<std::int32_t> partition_count(const std::string& topic) override {
    return admin_.partition_count(topic, deadline());
  }
  Result<std::vector<std::int64_t>> end_offsets(const std::string& topic) override {
    return admin_.end_offsets(topic, deadline());
  }
  Result<std::vector<std::optional<std::int64_t>>> committed_offsets(const std::string& group,
                                                                     const std::string& topic) override {
    return admin_.committed_offsets(group, topic, deadline());
  }
  Result<> ping(Duration timeout) override { return admin_.ping(std::chrono::steady_clock::now() + timeout); }

 private:
  TopicAdmin::Deadline deadline() const { return std::chrono::steady_clock::now() + options_.timeout; }

  const KafkaOptions options_;
  TopicAdmin admin_;
};

}  // namespace

Result<std::unique_ptr<EventLog>> open_event_log(const KafkaOptions& options) {
  // Those of producers and consumers are read here too, so that a mistake shows at
  // the start and not at the first order.
  if (auto checked = producer_properties(options); !checked) return checked.error();
  if (auto checked = consumer_properties(options, {.group = "flux", .topics = {}}); !checked)
    return checked.error();
  auto admin = TopicAdmin::connect(options);
  if (!admin) return admin.error();
  return std::make_unique<KafkaEventLog>(options, std::move(*admin));
}

}  // namespace flux::kafka
