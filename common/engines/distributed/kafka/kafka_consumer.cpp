#include "common/engines/distributed/kafka/kafka_consumer.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "common/core/log.hpp"
#include "common/core/units.hpp"
#include "common/engines/distributed/kafka/client.hpp"
#include "common/engines/distributed/kafka/error_translation.hpp"
#include "common/engines/distributed/kafka/partition_list.hpp"
#include "common/engines/distributed/kafka/properties.hpp"

namespace flux::kafka {
namespace {

using std::chrono::steady_clock;

// A listener that cannot take its partitions (the ledger is down, say) leaves the
// group for this long, so that another member may have them.
constexpr auto kBeforeRejoin = std::chrono::seconds{1};

// librdkafka 2.0.2 aborts the process when a member is destroyed between its first
// join and its first assignment (librdkafka#4312). Such a client, after it has left
// the group, is kept to the end of the process instead.
void keep_forever(std::unique_ptr<Client> client) {
  static std::mutex mutex;
  static auto* const kept = new std::vector<std::unique_ptr<Client>>;  // never destroyed, on purpose
  const std::lock_guard lock{mutex};
  kept->push_back(std::move(client));
}

class KafkaConsumer final : public EventConsumer {
 public:
  explicit KafkaConsumer(const ConsumerOptions& consumer) : consumer_{consumer} {}
  ~KafkaConsumer() override {
    static_cast<void>(close(std::chrono::seconds{2}));
    if (client_ && !was_assigned_) keep_forever(std::move(client_));
  }

  Result<> start(const KafkaOptions& options) {
    auto conf = consumer_properties(options, consumer_);
    if (!conf) return conf.error();
    auto client = Client::start(
        RD_KAFKA_CONSUMER, std::move(*conf), options,
        [this](rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* p) { rebalance(code, p); });
    if (!client) return client.error();
    client_ = std::move(*client);
    rd_kafka_poll_set_consumer(client_->get());
    return subscribe();
  }

  Result<std::vector<ConsumedRecord>> poll(std::size_t max, Duration wait) override;
  Result<> commit(const std::vector<std::pair<TopicPartition, std::int64_t>>& next_offsets) override;
  Result<> pause(const std::vector<TopicPartition>& partitions) override;
  Result<> resume(const std::vector<TopicPartition>& partitions) override;
  std::vector<TopicPartition> assignment() const override { return {assigned_.begin(), assigned_.end()}; }
  Result<> close(Duration timeout) override;

 private:
  Result<> subscribe();
  void rebalance(rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* partitions);
  void assign(rd_kafka_topic_partition_list_t* partitions);
  void revoke(rd_kafka_topic_partition_list_t* partitions);
  void leave();
  Error give_back();
  void rejoin_if_overslept();
  std::optional<Error> failure_of(const rd_kafka_message_t& message);
  bool is_ours(const rd_kafka_message_t& message);
  void forget(const std::vector<TopicPartition>& partitions) {
    for (const auto& partition : partitions) assigned_.erase(partition);
  }

  const ConsumerOptions consumer_;
  std::set<TopicPartition> assigned_;    // those the listener accepted
  std::optional<Error> listener_error_;  // it did not accept the last assignment
  std::optional<Error> pending_error_;   // came behind records that were returned first
  steady_clock::time_point rejoin_at_{};
  steady_clock::time_point polled_at_{};
  bool has_left_ = false;  // gave its partitions back; subscribes again at rejoin_at_
  bool is_closed_ = false;
  bool was_assigned_ = false;  // once at least, if only nothing
  // The source of the record before, as records come in runs of one partition.
  const rd_kafka_topic_t* last_topic_ = nullptr;
  TopicPartition last_source_;
  std::unique_ptr<Client> client_;  // last: its callbacks use the members above
};

Result<> KafkaConsumer::subscribe() {
  const PartitionList topics{rd_kafka_topic_partition_list_new(static_cast<int>(consumer_.topics.size()))};
  for (const std::string& topic : consumer_.topics)
    rd_kafka_topic_partition_list_add(topics.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  const auto code = rd_kafka_subscribe(client_->get(), topics.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->failure(code, "join group " + consumer_.group);
  has_left_ = false;
  return {};
}

void KafkaConsumer::rebalance(rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* partitions) {
  last_topic_ = nullptr;
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) return assign(partitions);
  if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) return revoke(partitions);
  log::warning("the rebalance failed", {{"group", consumer_.group}, {"reason", rd_kafka_err2str(code)}});
  rd_kafka_assign(client_->get(), nullptr);
}

// The starting offset travels with the assignment: seeking afterwards would first
// fetch from the wrong place, and seek_partitions mistakes its timeout (librdkafka#4230).
void KafkaConsumer::assign(rd_kafka_topic_partition_list_t* partitions) {
  was_assigned_ = true;
  const auto sources = to_sources(*partitions);
  std::vector<std::optional<std::int64_t>> starts(sources.size());
  if (is_closed_) {
    listener_error_ = Error{.code = Errc::interrupted, .message = "the consumer is closing"};
  } else if (consumer_.listener != nullptr && !sources.empty()) {
    auto said = consumer_.listener->assigned(sources);
    if (!said)
      listener_error_ = said.error();
    else if (said->size() != sources.size())
      listener_error_ = Error{.code = Errc::internal,
                              .message = "the rebalance listener named " + std::to_string(said->size()) +
                                         " starts for " + std::to_string(sources.size()) + " partitions"};
    else
      starts = std::move(*said);
  }
  for (int i = 0; i < partitions->cnt; ++i) {
    const auto& start = starts[static_cast<std::size_t>(i)];
    // Refused ones are held at the end of the log, and silent, until they are given back.
    partitions->elems[i].offset =
        listener_error_ ? RD_KAFKA_OFFSET_END : start.value_or(RD_KAFKA_OFFSET_INVALID);
  }
  const ErrorHandle failed{rd_kafka_incremental_assign(client_->get(), partitions)};
  if (failed && !listener_error_)
    listener_error_ = client_->failure(rd_kafka_error_code(failed.get()), "take the assigned partitions");
  if (listener_error_) {
    rd_kafka_pause_partitions(client_->get(), partitions);
    return;
  }
  // A pause outlives the assignment inside librdkafka; whoever comes back starts awake.
  if (partitions->cnt > 0) rd_kafka_resume_partitions(client_->get(), partitions);
  assigned_.insert(sources.begin(), sources.end());
}

void KafkaConsumer::revoke(rd_kafka_topic_partition_list_t* partitions) {
  const bool lost = rd_kafka_assignment_lost(client_->get()) != 0;
  std::vector<TopicPartition> known;
  for (auto& source : to_sources(*partitions))
    if (assigned_.contains(source)) known.push_back(std::move(source));
  if (lost) forget(known);
  // Not lost: they are still assigned, and the listener may commit.
  if (consumer_.listener != nullptr && !known.empty()) consumer_.listener->revoked(known, lost);
  forget(known);
  const ErrorHandle failed{rd_kafka_incremental_unassign(client_->get(), partitions)};
  if (failed)
    log::warning("cannot give up partitions",
                 {{"group", consumer_.group}, {"reason", rd_kafka_error_string(failed.get())}});
}

// Leaves the group with everything it holds; other members take over.
void KafkaConsumer::leave() {
  rd_kafka_unsubscribe(client_->get());
  const auto deadline = steady_clock::now() + std::chrono::seconds{2};
  const auto holds_any = [this] {
    rd_kafka_topic_partition_list_t* held = nullptr;
    if (rd_kafka_assignment(client_->get(), &held) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
    const PartitionList list{held};
    return list->cnt > 0;
  };
  while (holds_any() && steady_clock::now() < deadline)
    const MessageHandle dropped{rd_kafka_consumer_poll(client_->get(), 20)};
  listener_error_.reset();
  has_left_ = true;
}

Error KafkaConsumer::give_back() {
  const Error error = *std::exchange(listener_error_, std::nullopt);
  log::warning("leaving the group for a moment: the assignment was not accepted",
               {{"group", consumer_.group}, {"reason", error.one_line()}});
  leave();
  rejoin_at_ = steady_clock::now() + kBeforeRejoin;
  return error;
}

// The watchdog of polling. librdkafka's own can be put off by any poll of any queue
// (librdkafka#4176), and calls what it takes away in a rebalance not lost.
void KafkaConsumer::rejoin_if_overslept() {
  if (assigned_.empty() || steady_clock::now() - polled_at_ <= consumer_.session_timeout) return;
  log::warning("this member did not poll in time and was replaced; it joins again",
               {{"group", consumer_.group}, {"member", consumer_.member_name}});
  const auto lost = assignment();
  assigned_.clear();
  last_topic_ = nullptr;
  if (consumer_.listener != nullptr) consumer_.listener->revoked(lost, true);
  leave();
  rejoin_at_ = steady_clock::now();
}

std::optional<Error> KafkaConsumer::failure_of(const rd_kafka_message_t& message) {
  const rd_kafka_resp_err_t code = client_->root_cause(message.err);
  client_->note_error(code);
  // librdkafka reconnects and rejoins by itself after these.
  if (is_transport_failure(code) || is_passing(code)) return std::nullopt;
  switch (code) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: return std::nullopt;
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED: return std::nullopt;  // see rejoin_if_overslept
    default: break;
  }
  const char* const detail = rd_kafka_message_errstr(&message);
  Error error = translate(code, "read for group " + consumer_.group);
  if (detail != nullptr && *detail != '\0') error.message += std::string{" ("} + detail + ")";
  if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) error.retryable = true;  // it may be created yet
  return error;
}

bool KafkaConsumer::is_ours(const rd_kafka_message_t& message) {
  if (message.rkt == last_topic_ && message.partition == last_source_.partition) return true;
  TopicPartition source{.topic = rd_kafka_topic_name(message.rkt), .partition = message.partition};
  if (!assigned_.contains(source)) return false;
  last_topic_ = message.rkt;
  last_source_ = std::move(source);
  return true;
}

ConsumedRecord to_record(const rd_kafka_message_t& message, const TopicPartition& source) {
  const auto text = [](const void* bytes, std::size_t size) {
    return bytes == nullptr ? std::string{} : std::string{static_cast<const char*>(bytes), size};
  };
  ConsumedRecord record{.source = source,
                        .offset = message.offset,
                        .key = text(message.key, message.key_len),
                        .value = text(message.payload, message.len)};
  rd_kafka_timestamp_type_t kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const std::int64_t ms = rd_kafka_message_timestamp(&message, &kind);
  if (kind != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) record.timestamp = from_unix_ms(ms);
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    record.headers.reserve(rd_kafka_header_cnt(headers));
    for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; ++i)
      record.headers.emplace_back(name, text(value, size));
  }
  return record;
}

// One record at a time: consume_batch hands out records of partitions that a
// rebalance or a pause has just taken away.
Result<std::vector<ConsumedRecord>> KafkaConsumer::poll(std::size_t max, Duration wait) {
  if (is_closed_)
    return Error{.code = Errc::interrupted,
                 .message = "the consumer of group " + consumer_.group + " is closed"};
  if (pending_error_) return *std::exchange(pending_error_, std::nullopt);
  const auto deadline = steady_clock::now() + wait;
  rejoin_if_overslept();
  if (has_left_) {
    std::this_thread::sleep_until(std::min(deadline, rejoin_at_));
    if (steady_clock::now() < rejoin_at_) return std::vector<ConsumedRecord>{};
    if (auto joined = subscribe(); !joined) return joined.error();
  }
  std::vector<ConsumedRecord> records;
  while (records.size() < max) {
    const auto left = std::max<Duration>(deadline - steady_clock::now(), Duration::zero());
    const MessageHandle message{rd_kafka_consumer_poll(client_->get(), records.empty() ? to_ms(left) : 0)};
    if (listener_error_) {
      pending_error_ = give_back();
      break;
    }
    if (!message) {
      if (!records.empty() || steady_clock::now() >= deadline) break;
      continue;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      pending_error_ = failure_of(*message);
      if (pending_error_) break;
      continue;
    }
    if (is_ours(*message)) records.push_back(to_record(*message, last_source_));
  }
  polled_at_ = steady_clock::now();
  if (records.empty() && pending_error_) return *std::exchange(pending_error_, std::nullopt);
  return records;
}

Result<> KafkaConsumer::commit(const std::vector<std::pair<TopicPartition, std::int64_t>>& next_offsets) {
  const PartitionList list{rd_kafka_topic_partition_list_new(static_cast<int>(next_offsets.size()))};
  for (const auto& [source, next] : next_offsets)
    if (assigned_.contains(source))
      rd_kafka_topic_partition_list_add(list.get(), source.topic.c_str(), source.partition)->offset = next;
  // A partition that has just gone is refused here, and rightly: its new owner commits.
  if (list->cnt > 0) rd_kafka_offsets_store(client_->get(), list.get());
  return {};
}

// Pausing drops what was fetched ahead and resuming fetches it again, so callers
// pause at a high mark and resume at a low one, not per record.
Result<> KafkaConsumer::pause(const std::vector<TopicPartition>& partitions) {
  const PartitionList list = to_list(partitions);
  const auto code = rd_kafka_pause_partitions(client_->get(), list.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->failure(code, "pause partitions");
  return {};
}

Result<> KafkaConsumer::resume(const std::vector<TopicPartition>& partitions) {
  const PartitionList list = to_list(partitions);
  const auto code = rd_kafka_resume_partitions(client_->get(), list.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->failure(code, "resume partitions");
  return {};
}

// rd_kafka_consumer_close has no timeout, so the close is served here until then.
Result<> KafkaConsumer::close(Duration timeout) {
  if (is_closed_ || !client_) return {};
  is_closed_ = true;
  const auto deadline = steady_clock::now() + timeout;
  const auto patience = steady_clock::now() + std::min<Duration>(timeout / 2, std::chrono::seconds{1});
  while (!was_assigned_ && !client_->all_brokers_down() && steady_clock::now() < patience)
    const MessageHandle dropped{rd_kafka_consumer_poll(client_->get(), 10)};
  const QueueHandle events{rd_kafka_queue_new(client_->get())};
  const ErrorHandle failed{rd_kafka_consumer_close_queue(client_->get(), events.get())};
  while (!failed && rd_kafka_consumer_closed(client_->get()) == 0) {
    if (steady_clock::now() >= deadline)
      return Error{.code = Errc::timed_out,
                   .message = "group " + consumer_.group + " was not left within " + format_duration(timeout),
                   .hint = "the others take over after the session timeout"};
    const EventHandle event{rd_kafka_queue_poll(events.get(), 10)};
    if (event && rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE)
      rebalance(rd_kafka_event_error(event.get()), rd_kafka_event_topic_partition_list(event.get()));
  }
  assigned_.clear();
  if (failed) return client_->failure(rd_kafka_error_code(failed.get()), "leave group " + consumer_.group);
  return {};
}

}  // namespace

Result<std::unique_ptr<EventConsumer>> make_consumer(const KafkaOptions& options,
                                                     const ConsumerOptions& consumer) {
  const auto wrong = [](std::string what, std::string hint) {
    return Error{.code = Errc::invalid_argument, .message = std::move(what), .hint = std::move(hint)};
  };
  if (consumer.group.empty()) return wrong("the consumer has no group", "name one");
  if (consumer.topics.empty())
    return wrong("group " + consumer.group + " reads no topic", "name at least one");
  if (consumer.is_static && consumer.member_name.empty())
    return wrong("a static member of group " + consumer.group + " has no name", "give every replica its own");
  auto made = std::make_unique<KafkaConsumer>(consumer);
  if (auto started = made->start(options); !started) return started.error();
  return made;
}

}  // namespace flux::kafka
