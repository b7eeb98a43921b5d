#pragma once
// The event log on Apache Kafka: idempotent producers that acknowledge after all
// in-sync replicas have the record, cooperative-sticky consumers that start where
// the ledger says.

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/ports/event_log.hpp"

namespace flux::kafka {

struct KafkaOptions {
  std::string brokers;                            // host:port, comma separated
  std::string brokers_origin{};                   // for hints: "now from flux.yaml:12"
  std::map<std::string, std::string> properties;  // passed to librdkafka (SASL, TLS, tuning)
  Duration timeout = std::chrono::seconds{5};     // of every call that asks the brokers
  // An append is acknowledged or failed within this time; at least 1s.
  Duration delivery_timeout = std::chrono::seconds{5};
  Duration linger = std::chrono::milliseconds{2};  // how long a batch waits for company
  // Of one producer; an append beyond either fails with `exhausted` at once.
  std::size_t max_queued_records = 100'000;
  std::size_t max_queued_bytes = 64 << 20;
};

// Checks the options, and fails with `invalid_argument` naming the property that
// is unknown, malformed or owned by flux. Does not wait for the brokers: they may
// come later, and go and come back.
Result<std::unique_ptr<EventLog>> open_event_log(const KafkaOptions& options);

}  // namespace flux::kafka
