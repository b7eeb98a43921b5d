#include "common/engines/distributed/kafka/kafka_log_inspector.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "common/engines/distributed/kafka/partition_list.hpp"
#include "common/engines/distributed/kafka/properties.hpp"
#include "common/engines/distributed/kafka/topic_admin.hpp"

namespace flux::kafka {
namespace {

using std::chrono::steady_clock;

std::string text(const char* c) {
  return c == nullptr ? "" : c;
}

GroupMember to_member(const rd_kafka_MemberDescription_t& member) {
  GroupMember out{.id = text(rd_kafka_MemberDescription_consumer_id(&member)),
                  .client_id = text(rd_kafka_MemberDescription_client_id(&member)),
                  .host = text(rd_kafka_MemberDescription_host(&member)),
                  .assigned = {}};
  if (out.host.starts_with('/')) out.host.erase(0, 1);  // as Java prints addresses
  const auto* const assignment = rd_kafka_MemberDescription_assignment(&member);
  const auto* const list = assignment == nullptr ? nullptr : rd_kafka_MemberAssignment_partitions(assignment);
  if (list != nullptr) out.assigned = to_sources(*list);
  return out;
}

TopicDescription to_topic(const rd_kafka_metadata_topic_t& topic) {
  TopicDescription out{.name = topic.topic, .partitions = {}};
  for (int i = 0; i < topic.partition_cnt; ++i) {
    const rd_kafka_metadata_partition_t& p = topic.partitions[i];
    out.partitions.push_back({.id = p.id,
                              .leader = p.leader,
                              .replicas = {p.replicas, p.replicas + p.replica_cnt},
                              .in_sync = {p.isrs, p.isrs + p.isr_cnt}});
  }
  std::sort(out.partitions.begin(), out.partitions.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return out;
}

class KafkaLogInspector final : public LogInspector {
 public:
  KafkaLogInspector(TopicAdmin admin, Duration timeout) : admin_{std::move(admin)}, timeout_{timeout} {}

  Result<std::vector<std::string>> groups() override {
    auto answer = admin_.answer_to(RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, deadline(), "list the groups",
                                   [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                                     rd_kafka_ListConsumerGroups(client(), options, queue);
                                   });
    if (!answer) return answer.error();
    const auto* const result = rd_kafka_event_ListConsumerGroups_result(answer->get());
    std::size_t count = 0;
    const auto* const errors = rd_kafka_ListConsumerGroups_result_errors(result, &count);
    if (count > 0) return failure(rd_kafka_error_code(errors[0]), "list the groups");
    const auto* const listed = rd_kafka_ListConsumerGroups_result_valid(result, &count);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < count; ++i)
      names.push_back(rd_kafka_ConsumerGroupListing_group_id(listed[i]));
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::vector<GroupDescription>> describe_groups(const std::vector<std::string>& names) override {
    if (names.empty()) return std::vector<GroupDescription>{};
    std::vector<const char*> asked;
    for (const std::string& name : names) asked.push_back(name.c_str());
    auto answer = admin_.answer_to(
        RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, deadline(), "describe the groups",
        [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
          rd_kafka_DescribeConsumerGroups(client(), asked.data(), asked.size(), options, queue);
        });
    if (!answer) return answer.error();
    std::size_t count = 0;
    const auto* const results = rd_kafka_DescribeConsumerGroups_result_groups(
        rd_kafka_event_DescribeConsumerGroups_result(answer->get()), &count);
    std::map<std::string, GroupDescription> by_name;
    for (std::size_t i = 0; i < count; ++i) {
      const auto* const group = results[i];
      const std::string name = rd_kafka_ConsumerGroupDescription_group_id(group);
      if (const auto* failed = rd_kafka_ConsumerGroupDescription_error(group); failed != nullptr)
        if (const auto code = rd_kafka_error_code(failed); code != RD_KAFKA_RESP_ERR_NO_ERROR)
          return failure(code, "describe group " + name);
      GroupDescription out{
          .name = name,
          .state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(group)),
          .members = {}};
      const std::size_t members = rd_kafka_ConsumerGroupDescription_member_count(group);
      for (std::size_t m = 0; m < members; ++m)
        out.members.push_back(to_member(*rd_kafka_ConsumerGroupDescription_member(group, m)));
      by_name[name] = std::move(out);
    }
    std::vector<GroupDescription> groups;
    for (const std::string& name : names) groups.push_back(by_name[name]);
    return groups;
  }

  Result<std::vector<std::vector<CommittedOffset>>> committed(
      const std::vector<std::string>& groups) override;

  Result<std::vector<PartitionEnds>> ends(const std::vector<TopicPartition>& partitions) override {
    const auto until = deadline();
    const PartitionList list = to_list(partitions);
    std::map<TopicPartition, PartitionEnds> found;
    for (const std::int64_t logical : {RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END}) {
      if (auto looked = admin_.look_up_offsets(*list, logical, until, "read the ends of the log"); !looked)
        return looked.error();
      for (int i = 0; i < list->cnt; ++i) {
        const auto& p = list->elems[i];
        auto& ends = found[{.topic = p.topic, .partition = p.partition}];
        (logical == RD_KAFKA_OFFSET_END ? ends.end : ends.start) = p.offset;
      }
    }
    std::vector<PartitionEnds> out;
    for (const TopicPartition& source : partitions) {
      out.push_back(found[source]);
      out.back().source = source;
    }
    return out;
  }

  Result<std::vector<TopicDescription>> topics(const std::optional<std::string>& name) override {
    auto known = admin_.metadata(nullptr, deadline(), "list the topics");
    if (!known) return known.error();
    std::vector<TopicDescription> out;
    for (int i = 0; i < (*known)->topic_cnt; ++i)
      if (!name || *name == (*known)->topics[i].topic) out.push_back(to_topic((*known)->topics[i]));
    if (name && out.empty())
      return failure(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "describe topic " + *name);
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
  }

  Result<std::map<std::string, std::string>> topic_settings(const std::string& topic) override {
    const ConfigResourceHandle resource{rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str())};
    rd_kafka_ConfigResource_t* pointer = resource.get();
    const std::string doing = "read the settings of topic " + topic;
    auto answer = admin_.answer_to(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, deadline(), doing,
                                   [&](rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
                                     rd_kafka_DescribeConfigs(client(), &pointer, 1, options, queue);
                                   });
    if (!answer) return answer.error();
    std::size_t count = 0;
    const auto* const results = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(answer->get()), &count);
    std::map<std::string, std::string> settings;
    for (std::size_t i = 0; i < count; ++i) {
      if (const auto code = rd_kafka_ConfigResource_error(results[i]); code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return failure(code, doing);
      std::size_t entries = 0;
      const auto* const configs = rd_kafka_ConfigResource_configs(results[i], &entries);
      for (std::size_t e = 0; e < entries; ++e)
        settings[rd_kafka_ConfigEntry_name(configs[e])] = text(rd_kafka_ConfigEntry_value(configs[e]));
    }
    return settings;
  }

  Result<> create_topic(const TopicSpec& topic) override {
    const auto until = deadline();
    const auto there = topics(topic.name);
    if (there)
      return Error{.code = Errc::already_exists,
                   .message = "topic " + topic.name + " is there already, with " +
                              std::to_string(there->front().partitions.size()) + " partitions",
                   .hint = "to add partitions: flux topics expand"};
    if (there.error().code != Errc::not_found) return there.error();
    return admin_.ensure({topic}, until);
  }

  Result<> expand_topic(const std::string& topic, std::int32_t partitions) override {
    const auto until = deadline();
    const auto there = topics(topic);
    if (!there) return there.error();
    const auto now = static_cast<std::int32_t>(there->front().partitions.size());
    if (partitions <= now)
      return Error{.code = Errc::invalid_argument,
                   .message = "topic " + topic + " has " + std::to_string(now) + " partitions already",
                   .hint = "partitions are only ever added: ask for more than that"};
    return admin_.ensure({{.name = topic, .partitions = partitions}}, until);
  }

 private:
  rd_kafka_t* client() const { return admin_.client().get(); }
  TopicAdmin::Deadline deadline() const { return steady_clock::now() + timeout_; }
  Error failure(rd_kafka_resp_err_t code, const std::string& doing) const {
    return admin_.client().failure(code, doing);
  }

  TopicAdmin admin_;
  const Duration timeout_;
};

// One request takes one group, so all are asked at once, on one queue.
Result<std::vector<std::vector<CommittedOffset>>> KafkaLogInspector::committed(
    const std::vector<std::string>& groups) {
  const auto until = deadline();
  const QueueHandle queue{rd_kafka_queue_new(client())};
  for (const std::string& group : groups) {
    const AdminOptionsHandle options{
        rd_kafka_AdminOptions_new(client(), RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS)};
    char why[256];
    rd_kafka_AdminOptions_set_request_timeout(options.get(), to_ms(timeout_), why, sizeof why);
    const GroupOffsetsRequest request{rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), nullptr)};
    rd_kafka_ListConsumerGroupOffsets_t* pointer = request.get();
    rd_kafka_ListConsumerGroupOffsets(client(), &pointer, 1, options.get(), queue.get());
  }
  std::map<std::string, std::vector<CommittedOffset>> found;
  for (std::size_t answered = 0; answered < groups.size(); ++answered) {
    const EventHandle answer{rd_kafka_queue_poll(queue.get(), to_ms(until - steady_clock::now()))};
    const auto code = answer ? rd_kafka_event_error(answer.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failure(code, "read the groups' offsets");
    std::size_t count = 0;
    const auto* const results = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(answer.get()), &count);
    for (std::size_t g = 0; g < count; ++g) {
      const std::string group = rd_kafka_group_result_name(results[g]);
      if (const auto* failed = rd_kafka_group_result_error(results[g]); failed != nullptr)
        return failure(rd_kafka_error_code(failed), "read the offsets of group " + group);
      const auto* const list = rd_kafka_group_result_partitions(results[g]);
      for (int i = 0; list != nullptr && i < list->cnt; ++i) {
        const auto& p = list->elems[i];
        if (p.offset < 0) continue;
        found[group].push_back(
            {.source = {.topic = p.topic, .partition = p.partition},
             .offset = p.offset,
             .metadata = p.metadata == nullptr
                             ? ""
                             : std::string{static_cast<const char*>(p.metadata), p.metadata_size}});
      }
    }
  }
  std::vector<std::vector<CommittedOffset>> out;
  for (const std::string& group : groups) out.push_back(found[group]);
  return out;
}

}  // namespace

Result<std::unique_ptr<LogInspector>> open_log_inspector(const KafkaOptions& options) {
  auto admin = TopicAdmin::connect(options);
  if (!admin) return admin.error();
  return std::make_unique<KafkaLogInspector>(std::move(*admin), options.timeout);
}

}  // namespace flux::kafka
