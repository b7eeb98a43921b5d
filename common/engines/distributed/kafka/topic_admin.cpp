#include "common/engines/distributed/kafka/topic_admin.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <thread>

#include "common/engines/distributed/kafka/error_translation.hpp"
#include "common/engines/distributed/kafka/partition_list.hpp"
#include "common/engines/distributed/kafka/properties.hpp"

namespace flux::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Deadline = TopicAdmin::Deadline;

int ms_until(Deadline deadline) {
  return std::max(1, to_ms(deadline - steady_clock::now()));
}

// Repeats what fails only while leaders and coordinators move. `attempt` returns
// librdkafka's code.
template <class Attempt>
rd_kafka_resp_err_t repeat_until(Deadline deadline, Attempt attempt) {
  auto pause = milliseconds{20};
  while (true) {
    const rd_kafka_resp_err_t code = attempt();
    if (!is_passing(code) || steady_clock::now() + pause >= deadline) return code;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, milliseconds{200});
  }
}

}  // namespace

Result<TopicAdmin> TopicAdmin::connect(const KafkaOptions& options) {
  auto conf = admin_properties(options);
  if (!conf) return conf.error();
  auto client = Client::start(RD_KAFKA_CONSUMER, std::move(*conf), options);
  if (!client) return client.error();
  return TopicAdmin{std::move(*client)};
}

Result<MetadataHandle> TopicAdmin::metadata(rd_kafka_topic_t* only, Deadline deadline,
                                            const std::string& doing) {
  const rd_kafka_metadata_t* found = nullptr;
  const auto code = repeat_until(deadline, [&] {
    return rd_kafka_metadata(client_->get(), only == nullptr ? 1 : 0, only, &found, ms_until(deadline));
  });
  rd_kafka_poll(client_->get(), 0);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->failure(code, doing);
  client_->mark_reachable();
  return MetadataHandle{found};
}

Result<EventHandle> TopicAdmin::answer_to(
    rd_kafka_admin_op_t operation, Deadline deadline, const std::string& doing,
    const std::function<void(rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>& ask) {
  EventHandle answer;
  const auto code = repeat_until(deadline, [&] {
    const AdminOptionsHandle options{rd_kafka_AdminOptions_new(client_->get(), operation)};
    char why[256];
    const int ms = ms_until(deadline);
    rd_kafka_AdminOptions_set_request_timeout(options.get(), ms, why, sizeof why);
    const QueueHandle queue{rd_kafka_queue_new(client_->get())};
    ask(options.get(), queue.get());
    answer.reset(rd_kafka_queue_poll(queue.get(), ms));
    return answer ? rd_kafka_event_error(answer.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  });
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->failure(code, doing);
  return answer;
}

Result<> TopicAdmin::create(const std::vector<TopicSpec>& missing, Deadline deadline) {
  std::vector<NewTopicHandle> topics;
  std::vector<rd_kafka_NewTopic_t*> pointers;
  for (const TopicSpec& spec : missing) {
    char why[256] = "";
    topics.emplace_back(
        rd_kafka_NewTopic_new(spec.name.c_str(), spec.partitions, spec.replication, why, sizeof why));
    if (!topics.back())
      return Error{.code = Errc::invalid_argument,
                   .message = "cannot create topic '" + spec.name + "': " + why,
                   .hint = "mend kafka.topics"};
    pointers.push_back(topics.back().get());
  }
  auto answer =
      answer_to(RD_KAFKA_ADMIN_OP_CREATETOPICS, deadline, "create topics",
                [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                  rd_kafka_CreateTopics(client_->get(), pointers.data(), pointers.size(), options, queue);
                });
  if (!answer) return answer.error();
  std::size_t count = 0;
  const auto* const results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer->get()), &count);
  // Another process may have been faster.
  return first_failure(results, count, RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, "create topic ");
}

Result<> TopicAdmin::grow(const std::vector<TopicSpec>& small, Deadline deadline) {
  std::vector<NewPartitionsHandle> topics;
  std::vector<rd_kafka_NewPartitions_t*> pointers;
  for (const TopicSpec& spec : small) {
    char why[256] = "";
    topics.emplace_back(rd_kafka_NewPartitions_new(
        spec.name.c_str(), static_cast<std::size_t>(spec.partitions), why, sizeof why));
    if (!topics.back())
      return Error{.code = Errc::invalid_argument,
                   .message = "cannot expand topic '" + spec.name + "': " + why,
                   .hint = "mend kafka.topics"};
    pointers.push_back(topics.back().get());
  }
  auto answer =
      answer_to(RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, deadline, "expand topics",
                [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                  rd_kafka_CreatePartitions(client_->get(), pointers.data(), pointers.size(), options, queue);
                });
  if (!answer) return answer.error();
  std::size_t count = 0;
  const auto* const results =
      rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(answer->get()), &count);
  // INVALID_PARTITIONS: another process has added as many already; ensure() looks again.
  return first_failure(results, count, RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, "expand topic ");
}

Result<> TopicAdmin::first_failure(const rd_kafka_topic_result_t* const* results, std::size_t count,
                                   rd_kafka_resp_err_t harmless, const std::string& doing) const {
  for (std::size_t i = 0; i < count; ++i) {
    const auto code = rd_kafka_topic_result_error(results[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == harmless) continue;
    Error error = client_->failure(code, doing + rd_kafka_topic_result_name(results[i]));
    if (const char* detail = rd_kafka_topic_result_error_string(results[i]); detail != nullptr)
      error.message += std::string{" ("} + detail + ")";
    return error;
  }
  return {};
}

namespace {

// How the topics stand against what is asked for.
struct TopicState {
  std::vector<TopicSpec> missing;
  std::vector<TopicSpec> small;  // fewer partitions than asked for
  bool led = true;               // every partition has a leader
};

TopicState compare(const rd_kafka_metadata_t& known, const std::vector<TopicSpec>& asked) {
  std::map<std::string_view, const rd_kafka_metadata_topic_t*> by_name;
  for (int i = 0; i < known.topic_cnt; ++i) by_name[known.topics[i].topic] = &known.topics[i];
  TopicState state;
  for (const TopicSpec& spec : asked) {
    const auto found = by_name.find(spec.name);
    if (found == by_name.end() || found->second->partition_cnt == 0) {
      state.missing.push_back(spec);
      continue;
    }
    const rd_kafka_metadata_topic_t& topic = *found->second;
    if (topic.partition_cnt < spec.partitions) state.small.push_back(spec);
    for (int p = 0; p < topic.partition_cnt; ++p) state.led = state.led && topic.partitions[p].leader >= 0;
  }
  return state;
}

}  // namespace

Result<> TopicAdmin::ensure(const std::vector<TopicSpec>& topics, Deadline deadline) {
  bool created = false;
  bool grown = false;
  while (true) {
    auto known = metadata(nullptr, deadline, "list the topics");
    if (!known) return known.error();
    const TopicState state = compare(**known, topics);
    if (state.missing.empty() && state.small.empty() && state.led) return {};
    if (!state.missing.empty() && !created) {
      if (auto made = create(state.missing, deadline); !made) return made.error();
      created = true;
    } else if (!state.small.empty() && !grown) {
      if (auto made = grow(state.small, deadline); !made) return made.error();
      grown = true;
    } else if (steady_clock::now() + milliseconds{20} >= deadline) {
      return Error{.code = Errc::unavailable,
                   .message = state.missing.empty() && state.small.empty()
                                  ? "some partitions have no leader"
                                  : "the brokers do not know all new topics and partitions yet",
                   .hint = "bring the brokers back that hold them",
                   .retryable = true};
    } else {
      std::this_thread::sleep_for(milliseconds{20});
    }
  }
}

Result<std::int32_t> TopicAdmin::partition_count(const std::string& topic, Deadline deadline) {
  const std::string doing = "look up topic " + topic;
  const TopicHandle handle{rd_kafka_topic_new(client_->get(), topic.c_str(), nullptr)};
  if (!handle) return client_->failure(rd_kafka_last_error(), doing);
  MetadataHandle found;
  const auto code = repeat_until(deadline, [&] {
    auto fetched = metadata(handle.get(), deadline, doing);
    if (!fetched || (*fetched)->topic_cnt != 1) return RD_KAFKA_RESP_ERR__TRANSPORT;
    found = std::move(*fetched);
    return found->topics[0].err;
  });
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->failure(code, doing);
  return found->topics[0].partition_cnt;
}

Result<> TopicAdmin::look_up_offsets(rd_kafka_topic_partition_list_t& list, std::int64_t logical,
                                     Deadline deadline, const std::string& doing) {
  if (list.cnt == 0) return {};
  const auto code = repeat_until(deadline, [&] {
    for (int i = 0; i < list.cnt; ++i) list.elems[i].offset = logical;
    const auto asked = rd_kafka_offsets_for_times(client_->get(), &list, ms_until(deadline));
    if (asked != RD_KAFKA_RESP_ERR_NO_ERROR) return asked;
    for (int i = 0; i < list.cnt; ++i)
      if (list.elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) return list.elems[i].err;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  });
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->failure(code, doing);
  return {};
}

Result<std::vector<std::int64_t>> TopicAdmin::end_offsets(const std::string& topic, Deadline deadline) {
  const auto count = partition_count(topic, deadline);
  if (!count) return count.error();
  const std::string doing = "read the end of topic " + topic;
  const PartitionList list{rd_kafka_topic_partition_list_new(*count)};
  rd_kafka_topic_partition_list_add_range(list.get(), topic.c_str(), 0, *count - 1);
  if (auto found = look_up_offsets(*list, RD_KAFKA_OFFSET_END, deadline, doing); !found) return found.error();
  std::vector<std::int64_t> ends(static_cast<std::size_t>(*count));
  for (int i = 0; i < list->cnt; ++i)
    ends[static_cast<std::size_t>(list->elems[i].partition)] = list->elems[i].offset;
  return ends;
}

Result<std::vector<std::optional<std::int64_t>>> TopicAdmin::committed_offsets(const std::string& group,
                                                                               const std::string& topic,
                                                                               Deadline deadline) {
  const auto count = partition_count(topic, deadline);
  if (!count) return count.error();
  const std::string doing = "read the offsets of group " + group;
  const PartitionList asked{rd_kafka_topic_partition_list_new(*count)};
  rd_kafka_topic_partition_list_add_range(asked.get(), topic.c_str(), 0, *count - 1);
  std::vector<std::optional<std::int64_t>> committed(static_cast<std::size_t>(*count));
  Result<EventHandle> answer = EventHandle{};
  const auto code = repeat_until(deadline, [&] {
    answer = answer_to(RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, deadline, doing,
                       [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                         auto* request = rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), asked.get());
                         rd_kafka_ListConsumerGroupOffsets(client_->get(), &request, 1, options, queue);
                         rd_kafka_ListConsumerGroupOffsets_destroy(request);
                       });
    if (!answer) return RD_KAFKA_RESP_ERR_NO_ERROR;
    std::size_t groups = 0;
    const rd_kafka_group_result_t** const results = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(answer->get()), &groups);
    if (groups != 1) return RD_KAFKA_RESP_ERR__BAD_MSG;
    if (const rd_kafka_error_t* failed = rd_kafka_group_result_error(results[0]); failed != nullptr)
      return rd_kafka_error_code(failed);
    const rd_kafka_topic_partition_list_t* const offsets = rd_kafka_group_result_partitions(results[0]);
    for (int i = 0; i < offsets->cnt; ++i) {
      const auto& p = offsets->elems[i];
      if (p.err != RD_KAFKA_RESP_ERR_NO_ERROR) return p.err;
      if (p.offset >= 0) committed.at(static_cast<std::size_t>(p.partition)) = p.offset;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  });
  if (!answer) return answer.error();
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client_->failure(code, doing);
  return committed;
}

// A round trip to any broker. While none is up, says so as soon as that is known,
// instead of waiting for the deadline.
Result<> TopicAdmin::ping(Deadline deadline) {
  while (true) {
    const auto slice = std::min(deadline, steady_clock::now() + milliseconds{200});
    const rd_kafka_metadata_t* found = nullptr;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TRANSPORT;
    // Asks for no topic (those of local handles only, and there are none now).
    code = rd_kafka_metadata(client_->get(), 0, nullptr, &found, ms_until(slice));
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)  // connected, but slow
      code = rd_kafka_metadata(client_->get(), 0, nullptr, &found, ms_until(deadline));
    rd_kafka_poll(client_->get(), 0);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const MetadataHandle metadata{found};
      client_->mark_reachable();
      if (metadata->broker_cnt > 0) return {};
      code = RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE;
    }
    const bool out_of_time = steady_clock::now() + milliseconds{1} >= deadline;
    if (is_transport_failure(code) && (client_->all_brokers_down() || out_of_time))
      return client_->unreachable();
    if (out_of_time || !is_passing(code)) return client_->failure(code, "ask the brokers");
  }
}

}  // namespace flux::kafka
