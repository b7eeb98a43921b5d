#pragma once
// The embedded log's producer: chooses the partition, hands the record to the
// topic's append queue, and resumes the caller on its loop when it is durable.

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>

#include "common/engines/embedded/append_queue.hpp"

namespace flux::embedded {

struct AppendTarget {
  std::shared_ptr<AppendQueue> queue;
  std::int32_t partitions = 0;
};

// `find` says where a topic's records go (`not_found`: no such topic).
std::unique_ptr<EventProducer> make_event_producer(
    boost::asio::any_io_executor loop, const EmbeddedLogOptions& options, std::shared_ptr<LogSignals> signals,
    std::function<Result<AppendTarget>(const std::string&)> find);

}  // namespace flux::embedded
