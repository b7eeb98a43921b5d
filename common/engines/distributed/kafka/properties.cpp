#include "common/engines/distributed/kafka/properties.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <utility>

namespace flux::kafka {
namespace {

using Properties = std::map<std::string, std::string>;

// Changing one of these would break a promise of the port, so they are not the user's.
constexpr std::array kOwned{
    "acks",
    "bootstrap.servers",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "log.queue",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
};

Error bad_property(const std::string& name, const std::string& why) {
  return Error{.code = Errc::invalid_argument,
               .message = "kafka.properties: " + why,
               .hint = "mend or remove " + name + " (names as in librdkafka's CONFIGURATION.md)"};
}

// Our defaults, then the user's properties over them.
Result<ConfHandle> make_conf(const KafkaOptions& options, const Properties& defaults) {
  if (options.brokers.empty())
    return Error{
        .code = Errc::invalid_argument, .message = "kafka.brokers is empty", .hint = "set it to host:port"};
  Properties all{
      {"bootstrap.servers", options.brokers},
      {"client.id", "flux"},
      {"socket.nagle.disable", "true"},
      {"socket.keepalive.enable", "true"},
      // A broker that comes back is used within a second, not after the default ten.
      {"reconnect.backoff.ms", "50"},
      {"reconnect.backoff.max.ms", "1000"},
      {"socket.connection.setup.timeout.ms", std::to_string(std::max(1000, to_ms(options.timeout)))},
  };
  for (const auto& [name, value] : defaults) all[name] = value;
  for (const auto& [name, value] : options.properties) {
    if (std::find(kOwned.begin(), kOwned.end(), std::string_view{name}) != kOwned.end())
      return bad_property(name, name + " is set by flux and cannot be changed");
    all[name] = value;
  }
  ConfHandle conf{rd_kafka_conf_new()};
  for (const auto& [name, value] : all) {
    char why[512] = "";
    const auto outcome = rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), why, sizeof why);
    if (outcome == RD_KAFKA_CONF_UNKNOWN) return bad_property(name, "unknown property " + name);
    if (outcome == RD_KAFKA_CONF_INVALID) return bad_property(name, name + ": " + why);
  }
  return conf;
}

}  // namespace

int to_ms(Duration d) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(d).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 0, 3'600'000));
}

Result<ConfHandle> producer_properties(const KafkaOptions& options) {
  // librdkafka looks for expired records once a second, so it gets a second less
  // than the caller was promised.
  const int message_timeout = std::max(500, to_ms(options.delivery_timeout) - 1000);
  return make_conf(options,
                   {
                       {"enable.idempotence", "true"},
                       {"acks", "all"},
                       {"retry.backoff.ms", "50"},
                       {"message.timeout.ms", std::to_string(message_timeout)},
                       {"linger.ms", std::to_string(std::min(to_ms(options.linger), message_timeout - 1))},
                       {"partitioner", "murmur2_random"},  // a key's partition as the Java client and the
                                                           // embedded engine have it
                       {"queue.buffering.max.messages", std::to_string(options.max_queued_records)},
                       {"queue.buffering.max.kbytes",
                        std::to_string(std::max<std::size_t>(1, options.max_queued_bytes >> 10))},
                       // A topic nobody created is an error soon, not after thirty seconds.
                       {"topic.metadata.propagation.max.ms", "1000"},
                       {"topic.metadata.refresh.fast.interval.ms", "100"},
                   });
}

Result<ConfHandle> consumer_properties(const KafkaOptions& options, const ConsumerOptions& consumer) {
  const int session = std::max(1, to_ms(consumer.session_timeout));
  Properties properties{
      {"group.id", consumer.group},
      {"partition.assignment.strategy", "cooperative-sticky"},
      {"session.timeout.ms", std::to_string(session)},
      // Members learn of a rebalance with a heartbeat, and a cooperative one takes two.
      {"heartbeat.interval.ms", std::to_string(std::clamp(session / 10, 1, 500))},
      // A member that does not poll is replaced as fast as one that died.
      {"max.poll.interval.ms", std::to_string(session)},
      // Offsets are stored by commit() and sent by librdkafka itself: an explicit
      // commit during a cooperative rebalance can lose the assignment (librdkafka#4059).
      {"enable.auto.offset.store", "false"},
      {"enable.auto.commit", "true"},
      {"auto.commit.interval.ms", "200"},
      {"auto.offset.reset", "earliest"},
      // An order of an aborted transaction of some other producer was never placed.
      {"isolation.level", "read_committed"},
      {"fetch.wait.max.ms", "250"},
      {"fetch.error.backoff.ms", "100"},
      // Notices added partitions, and topics created after the start.
      {"topic.metadata.refresh.interval.ms", "10000"},
      {"queued.max.messages.kbytes", "32768"},
      {"client.id", consumer.member_name.empty() ? "flux" : consumer.member_name},
  };
  if (consumer.is_static) properties["group.instance.id"] = consumer.member_name;
  return make_conf(options, properties);
}

Result<ConfHandle> admin_properties(const KafkaOptions& options) {
  // "end" is the high watermark: what is durable, open transactions included.
  return make_conf(options, {{"isolation.level", "read_uncommitted"}, {"client.id", "flux-admin"}});
}

}  // namespace flux::kafka
