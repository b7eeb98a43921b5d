#include "common/engines/distributed/kafka/delivery_channel.hpp"

#include <array>
#include <cstdint>

#include "common/core/log.hpp"
#include "common/engines/distributed/kafka/error_translation.hpp"
#include "common/engines/distributed/kafka/properties.hpp"

namespace flux::kafka {

Result<std::unique_ptr<DeliveryChannel>> DeliveryChannel::open(const KafkaOptions& options, int wake_fd) {
  auto conf = producer_properties(options);
  if (!conf) return conf.error();
  rd_kafka_conf_set_events(conf->get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
  auto client = Client::start(RD_KAFKA_PRODUCER, std::move(*conf), options);
  if (!client) return client.error();
  std::unique_ptr<DeliveryChannel> channel{new DeliveryChannel};
  channel->client_ = std::move(*client);
  channel->events_.reset(rd_kafka_queue_get_main(channel->client_->get()));
  const std::uint64_t one = 1;
  rd_kafka_queue_io_event_enable(channel->events_.get(), wake_fd, &one, sizeof one);
  return channel;
}

DeliveryChannel::~DeliveryChannel() {
  close();
}

rd_kafka_topic_t* DeliveryChannel::topic(const std::string& name) {
  const auto known = topics_.find(name);
  if (known != topics_.end()) return known->second.get();
  TopicHandle made{rd_kafka_topic_new(client_->get(), name.c_str(), nullptr)};
  return made ? topics_.emplace(name, std::move(made)).first->second.get() : nullptr;
}

Result<> DeliveryChannel::send(std::unique_ptr<Delivery>& delivery) {
  const Record& record = delivery->record;
  rd_kafka_topic_t* const into = topic(record.topic);
  if (into == nullptr)
    return client_->failure(rd_kafka_last_error(), "append to topic '" + record.topic + "'");

  HeadersHandle headers;
  if (!record.headers.empty()) {
    headers.reset(rd_kafka_headers_new(record.headers.size()));
    for (const auto& [name, value] : record.headers)
      rd_kafka_header_add(headers.get(), name.data(), static_cast<ssize_t>(name.size()), value.data(),
                          static_cast<ssize_t>(value.size()));
  }

  std::array<rd_kafka_vu_t, 5> fields;
  fields[0].vtype = RD_KAFKA_VTYPE_RKT;
  fields[0].u.rkt = into;
  fields[1].vtype = RD_KAFKA_VTYPE_OPAQUE;
  fields[1].u.ptr = delivery.get();
  // Neither copied nor freed by librdkafka: the delivery keeps the bytes.
  fields[2].vtype = RD_KAFKA_VTYPE_VALUE;
  fields[2].u.mem = {const_cast<char*>(record.value.data()), record.value.size()};
  fields[3].vtype = RD_KAFKA_VTYPE_KEY;  // null: the partitioner picks any partition
  fields[3].u.mem = {record.key.empty() ? nullptr : const_cast<char*>(record.key.data()), record.key.size()};
  fields[4].vtype = RD_KAFKA_VTYPE_HEADERS;
  fields[4].u.headers = headers.get();
  const std::size_t count = headers ? 5 : 4;

  delivery->sent_at = std::chrono::steady_clock::now();
  in_flight_.push_back(*delivery);
  const ErrorHandle refused{rd_kafka_produceva(client_->get(), fields.data(), count)};
  if (!refused) {
    static_cast<void>(headers.release());  // librdkafka took both
    static_cast<void>(delivery.release());
    return {};
  }
  in_flight_.erase(in_flight_.iterator_to(*delivery));
  const rd_kafka_resp_err_t code = rd_kafka_error_code(refused.get());
  if (code == RD_KAFKA_RESP_ERR__FATAL) broken_ = true;
  return client_->failure(code, "append to topic " + record.topic);
}

Result<RecordPosition> DeliveryChannel::outcome_of(const rd_kafka_message_t& message,
                                                   const Record& record) const {
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR)
    return RecordPosition{.partition = message.partition, .offset = message.offset};
  return translate_delivery(client_->failure(message.err, "append to topic " + record.topic),
                            rd_kafka_message_status(&message), record.topic);
}

bool DeliveryChannel::collect(std::vector<Outcome>& into, std::size_t limit, Duration wait) {
  int wait_ms = to_ms(wait);
  while (into.size() < limit) {
    const EventHandle event{rd_kafka_queue_poll(events_.get(), wait_ms)};
    if (!event) return false;
    if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_ERROR) {
      const rd_kafka_resp_err_t code = rd_kafka_event_error(event.get());
      client_->note_error(code);
      if (rd_kafka_event_error_is_fatal(event.get()) != 0) {
        broken_ = true;
        log::warning("the Kafka producer lost its sequence and starts anew",
                     {{"reason", rd_kafka_event_error_string(event.get())}});
      }
      continue;
    }
    while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event.get())) {
      std::unique_ptr<Delivery> delivery{static_cast<Delivery*>(message->_private)};
      in_flight_.erase(in_flight_.iterator_to(*delivery));
      if (delivery->answered) continue;
      auto result = outcome_of(*message, delivery->record);
      into.push_back({std::move(delivery), std::move(result)});
    }
    if (!into.empty()) wait_ms = 0;
  }
  return true;
}

void DeliveryChannel::abandon() {
  rd_kafka_purge(client_->get(),
                 RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

std::vector<Delivery*> DeliveryChannel::take_overdue(std::chrono::steady_clock::time_point limit) {
  std::vector<Delivery*> overdue;
  for (Delivery& delivery : in_flight_) {  // in the order of sending
    if (delivery.sent_at >= limit) break;
    if (!delivery.answered) overdue.push_back(&delivery);
    delivery.answered = true;
  }
  return overdue;
}

std::vector<Outcome> DeliveryChannel::close() {
  std::vector<Outcome> left;
  if (!client_) return left;
  rd_kafka_queue_io_event_enable(events_.get(), -1, nullptr, 0);
  topics_.clear();
  events_.reset();
  client_.reset();
  in_flight_.clear_and_dispose([&left](Delivery* delivery) {
    std::unique_ptr<Delivery> owned{delivery};
    if (delivery->answered) return;
    left.push_back(
        {std::move(owned), Error{.code = Errc::maybe_persisted,
                                 .message = "the append to topic " + delivery->record.topic +
                                            " was not acknowledged before the producer closed",
                                 .hint = "it may be in the log; look for it before sending it again"}});
  });
  return left;
}

}  // namespace flux::kafka
