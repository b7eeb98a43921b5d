#pragma once
// One idempotent librdkafka producer and the records it has not answered yet.
// Knows nothing of event loops: it takes records and hands back their outcomes.

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/core/result.hpp"
#include "common/engines/distributed/kafka/client.hpp"
#include "common/ports/event_log.hpp"

namespace flux::kafka {

// A record on its way. Owns the bytes until librdkafka is done with them, which is
// why nothing is copied. Answered exactly once, by complete(); one that is overdue is
// answered before librdkafka gives it back, and is then only waited for.
class Delivery : public boost::intrusive::list_base_hook<> {
 public:
  explicit Delivery(Record r) : record{std::move(r)} {}
  virtual ~Delivery() = default;
  virtual void complete(Result<RecordPosition> outcome) = 0;

  Record record;
  std::chrono::steady_clock::time_point sent_at{};
  bool answered = false;
};

struct Outcome {
  std::unique_ptr<Delivery> delivery;
  Result<RecordPosition> result;
};

class DeliveryChannel {
 public:
  // `wake_fd` (an eventfd, which must outlive the channel) becomes readable when
  // there is something to collect.
  static Result<std::unique_ptr<DeliveryChannel>> open(const KafkaOptions& options, int wake_fd);
  ~DeliveryChannel();
  DeliveryChannel(const DeliveryChannel&) = delete;
  DeliveryChannel& operator=(const DeliveryChannel&) = delete;

  // Queues the record and takes the delivery; or says why not and leaves it.
  Result<> send(std::unique_ptr<Delivery>& delivery);

  // Takes the outcomes that are there, waiting up to `wait` for the first, and
  // about `limit` at most. True: there may be more.
  bool collect(std::vector<Outcome>& into, std::size_t limit, Duration wait);

  // The idempotence guarantee is lost: the channel takes nothing more, and what it
  // holds will be answered with an error.
  bool is_broken() const { return broken_; }
  // Gives up what is queued, so that collect() has all outcomes soon.
  void abandon();
  std::size_t in_flight() const { return in_flight_.size(); }
  // Those sent before `limit` and not answered yet, marked as answered: the caller
  // completes them. They stay here until librdkafka gives their bytes back.
  std::vector<Delivery*> take_overdue(std::chrono::steady_clock::time_point limit);
  // For what never got an answer. Stops the client first, so the bytes are free.
  std::vector<Outcome> close();

 private:
  DeliveryChannel() = default;
  rd_kafka_topic_t* topic(const std::string& name);
  Result<RecordPosition> outcome_of(const rd_kafka_message_t& message, const Record& record) const;

  std::unique_ptr<Client> client_;
  QueueHandle events_;
  std::unordered_map<std::string, TopicHandle> topics_;
  boost::intrusive::list<Delivery> in_flight_;
  bool broken_ = false;
};

}  // namespace flux::kafka
