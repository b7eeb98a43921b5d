#pragma once
// Appends from one event loop. Deliveries come back through an eventfd that
// librdkafka writes and the loop waits for, so no thread of ours polls.

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "common/core/result.hpp"
#include "common/engines/distributed/kafka/kafka_engine.hpp"
#include "common/ports/event_log.hpp"

namespace flux::kafka {

Result<std::unique_ptr<EventProducer>> make_producer(const KafkaOptions& options,
                                                     boost::asio::any_io_executor loop);

}  // namespace flux::kafka
