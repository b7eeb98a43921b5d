#include "common/engines/distributed/kafka/properties.hpp"

#include <gmock/gmock.h>

namespace flux::kafka {
namespace {

using ::testing::HasSubstr;

std::string value_of(const ConfHandle& conf, const char* name) {
  char value[512] = "";
  std::size_t size = sizeof value;
  return rd_kafka_conf_get(conf.get(), name, value, &size) == RD_KAFKA_CONF_OK ? value : "(none)";
}

TEST(KafkaProperties, ProducersAreIdempotentAndWaitForAllReplicas) {
  const auto conf =
      producer_properties({.brokers = "b:1", .properties = {}, .delivery_timeout = std::chrono::seconds{5}});
  ASSERT_TRUE(conf);
  EXPECT_EQ(value_of(*conf, "enable.idempotence"), "true");
  EXPECT_EQ(value_of(*conf, "acks"), "-1");
  EXPECT_EQ(value_of(*conf, "message.timeout.ms"), "4000");  // and a second until it is noticed
}

TEST(KafkaProperties, SecurityAndTuningPassThrough) {
  const KafkaOptions options{.brokers = "b:1",
                             .properties = {{"security.protocol", "sasl_ssl"},
                                            {"sasl.mechanism", "SCRAM-SHA-256"},
                                            {"sasl.username", "flux"},
                                            {"linger.ms", "9"}}};
  const auto producer = producer_properties(options);
  ASSERT_TRUE(producer);
  EXPECT_EQ(value_of(*producer, "security.protocol"), "sasl_ssl");
  EXPECT_EQ(value_of(*producer, "linger.ms"), "9");
  const auto consumer = consumer_properties(options, {.group = "g", .topics = {"t"}});
  ASSERT_TRUE(consumer);
  EXPECT_EQ(value_of(*consumer, "sasl.username"), "flux");
}

TEST(KafkaProperties, AStaticMemberIsKnownByItsName) {
  const ConsumerOptions member{.group = "g", .topics = {"t"}, .member_name = "worker-1", .is_static = true};
  const auto conf = consumer_properties({.brokers = "b:1", .properties = {}}, member);
  ASSERT_TRUE(conf);
  EXPECT_EQ(value_of(*conf, "client.id"), "worker-1");
  EXPECT_EQ(value_of(*conf, "group.instance.id"), "worker-1");
}

TEST(KafkaProperties, NamesThePropertyThatIsWrong) {
  const std::pair<std::pair<std::string, std::string>, std::string> cases[] = {
      {{"no.such.thing", "1"}, "unknown property no.such.thing"},
      {{"linger.ms", "soon"}, "linger.ms"},
      {{"acks", "0"}, "acks is set by flux"},
      {{"enable.idempotence", "false"}, "enable.idempotence is set by flux"},
  };
  for (const auto& [property, message] : cases) {
    const auto opened = open_event_log({.brokers = "127.0.0.1:9", .properties = {property}});
    ASSERT_FALSE(opened) << property.first;
    EXPECT_EQ(opened.error().code, Errc::invalid_argument);
    EXPECT_THAT(opened.error().message, HasSubstr(message));
  }
  EXPECT_EQ(open_event_log({.brokers = "", .properties = {}}).error().code, Errc::invalid_argument);
}

}  // namespace
}  // namespace flux::kafka
