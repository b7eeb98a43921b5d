#include "common/engines/open_engines.hpp"

#include "common/engines/distributed/kafka/kafka_engine.hpp"
#include "common/engines/distributed/kafka/kafka_log_inspector.hpp"
#include "common/engines/distributed/postgres/postgres_engine.hpp"
#include "common/engines/distributed/redis/redis_engine.hpp"
#include "common/engines/embedded/embedded_engines.hpp"
#include "common/engines/embedded/log_inspector.hpp"

namespace flux {
namespace {

embedded::EmbeddedOptions embedded_options(const Config& config) {
  embedded::EmbeddedOptions options;
  options.directory = config.data;
  return options;
}

kafka::KafkaOptions kafka_options(const Config& config) {
  kafka::KafkaOptions options;
  options.brokers = config.kafka.brokers;
  options.brokers_origin = config.origin_of("kafka.brokers");
  options.properties = config.kafka.properties;
  options.timeout = config.kafka.timeout;
  return options;
}

}  // namespace

Result<std::unique_ptr<EventLog>> open_event_log(const Config& config) {
  switch (config.engines.event_log) {
    case EventLogEngine::embedded: return embedded::open_event_log(embedded_options(config));
    case EventLogEngine::kafka: break;
  }
  return kafka::open_event_log(kafka_options(config));
}

Result<std::unique_ptr<LogInspector>> open_log_inspector(const Config& config) {
  switch (config.engines.event_log) {
    case EventLogEngine::embedded: return embedded::open_log_inspector(embedded_options(config));
    case EventLogEngine::kafka: break;
  }
  return kafka::open_log_inspector(kafka_options(config));
}

Result<std::unique_ptr<StateStore>> open_state_store(const Config& config,
                                                     boost::asio::any_io_executor loop) {
  switch (config.engines.state_store) {
    case StateStoreEngine::embedded: return embedded::open_state_store(embedded_options(config), loop);
    case StateStoreEngine::redis: break;
  }
  redis::RedisOptions options;
  options.url = config.redis.url;
  options.cluster = config.redis.cluster;
  if (config.redis.sentinel) {
    options.sentinel_master = config.redis.sentinel->master;
    options.sentinels = config.redis.sentinel->nodes;
  }
  options.timeout = config.redis.timeout;
  return redis::open_state_store(options, loop);
}

Result<std::unique_ptr<Ledger>> open_ledger(const Config& config) {
  switch (config.engines.ledger) {
    case LedgerEngine::embedded: return embedded::open_ledger(embedded_options(config));
    case LedgerEngine::postgres: break;
  }
  postgres::PostgresOptions options;
  options.url = config.postgres.url;
  options.replicas = config.postgres.replicas;
  options.pool = static_cast<std::size_t>(config.postgres.pool);
  options.timeout = config.postgres.timeout;
  return postgres::open_ledger(options);
}

}  // namespace flux
