#pragma once
// Questions and changes about topics, offsets and groups, asked of the brokers by
// one client. Thread-safe; every call ends within its deadline.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/engines/distributed/kafka/client.hpp"
#include "common/ports/event_log.hpp"

namespace flux::kafka {

class TopicAdmin {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  static Result<TopicAdmin> connect(const KafkaOptions& options);

  Result<> ensure(const std::vector<TopicSpec>& topics, Deadline deadline);
  Result<std::int32_t> partition_count(const std::string& topic, Deadline deadline);
  Result<std::vector<std::int64_t>> end_offsets(const std::string& topic, Deadline deadline);
  Result<std::vector<std::optional<std::int64_t>>> committed_offsets(const std::string& group,
                                                                     const std::string& topic,
                                                                     Deadline deadline);
  Result<> ping(Deadline deadline);

  const Client& client() const { return *client_; }
  // `only`: that topic; else all topics.
  Result<MetadataHandle> metadata(rd_kafka_topic_t* only, Deadline deadline, const std::string& doing);
  // Replaces the list's logical offsets (RD_KAFKA_OFFSET_END, _BEGINNING) by real
  // ones: one request per leader, whatever the number of partitions.
  Result<> look_up_offsets(rd_kafka_topic_partition_list_t& list, std::int64_t logical, Deadline deadline,
                           const std::string& doing);
  // Starts an admin request on a queue of its own and waits for its answer.
  Result<EventHandle> answer_to(rd_kafka_admin_op_t operation, Deadline deadline, const std::string& doing,
                                const std::function<void(rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>& ask);

 private:
  explicit TopicAdmin(std::unique_ptr<Client> client) : client_{std::move(client)} {}
  Result<> create(const std::vector<TopicSpec>& missing, Deadline deadline);
  Result<> grow(const std::vector<TopicSpec>& small, Deadline deadline);
  // The first of the per-topic results that failed, other than with `harmless`.
  Result<> first_failure(const rd_kafka_topic_result_t* const* results, std::size_t count,
                         rd_kafka_resp_err_t harmless, const std::string& doing) const;

  std::unique_ptr<Client> client_;
};

}  // namespace flux::kafka
