#include "common/engines/distributed/kafka/error_translation.hpp"

#include <cctype>

namespace flux::kafka {

bool is_transport_failure(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__NODE_UPDATE: return true;
    default: return false;
  }
}

bool is_passing(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH: return true;
    default: return false;
  }
}

namespace {

struct Meaning {
  Errc code;
  const char* hint;
};

Meaning meaning_of(rd_kafka_resp_err_t code) {
  if (is_transport_failure(code)) return {Errc::unavailable, "start the brokers, or set kafka.brokers"};
  if (is_passing(code)) return {Errc::unavailable, "the brokers are moving leaders; try again"};
  switch (code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: return {Errc::exhausted, "slow down: the producer's queue is full"};
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
      return {Errc::exhausted, "look at the broker's disk: full or failing"};
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED: return {Errc::exhausted, "raise the broker's quota"};
    case RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE:
      return {Errc::exhausted, "raise the limits of threads and memory of this process"};
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
      return {Errc::unavailable, "bring brokers back: fewer in-sync replicas than min.insync.replicas"};
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return {Errc::not_found, "create the topic: flux topics create"};
    case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND: return {Errc::not_found, "list the groups: flux lag"};
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: return {Errc::already_exists, ""};
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      return {Errc::invalid_argument, "make the record smaller, or raise message.max.bytes on both sides"};
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
      return {Errc::invalid_argument, "use letters, digits, . _ - only"};
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
      return {Errc::invalid_argument, "stay within the broker's group.{min,max}.session.timeout.ms"};
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
      return {Errc::invalid_argument, "ask for no more replicas than there are brokers"};
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL: return {Errc::invalid_argument, ""};
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION: return {Errc::refused, "the broker's policy forbids it"};
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR__SSL: return {Errc::unauthorized, "set sasl.* and ssl.* in kafka.properties"};
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return {Errc::forbidden, "grant this user the right with kafka-acls"};
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
      return {Errc::fenced, "another member has the same name; give every static member its own"};
    case RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP:
    case RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC:
      return {Errc::conflict, "stop the group's members first"};
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
      return {Errc::corrupted, "look at the broker's disk and network"};
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION: return {Errc::refused, "the brokers are too old for this"};
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__DESTROY:
      return {Errc::unavailable, "the producer was closed or replaced; try again"};
    // The broker lost or refused the producer's sequence; a new producer follows.
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
    case RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
      return {Errc::unavailable, "the producer starts anew; try again"};
    default: return {Errc::internal, ""};
  }
}

bool may_pass(Errc code) {
  return code == Errc::unavailable || code == Errc::exhausted;
}

}  // namespace

Error translate(rd_kafka_resp_err_t code, const std::string& doing) {
  const Meaning meaning = meaning_of(code);
  std::string why = rd_kafka_err2str(code);
  if (why.starts_with("Local: ") || why.starts_with("Broker: ")) why.erase(0, why.find(' ') + 1);
  if (!why.empty()) why[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(why[0])));
  return Error{.code = meaning.code,
               .message = "cannot " + doing + ": " + why,
               .hint = meaning.hint,
               .retryable = may_pass(meaning.code)};
}

Error translate_delivery(Error failure, rd_kafka_msg_status_t status, const std::string& topic) {
  if (status == RD_KAFKA_MSG_STATUS_NOT_PERSISTED) {
    // Certainly not in the log: codes that speak of an unknown outcome do not apply.
    if (failure.code == Errc::timed_out) failure.code = Errc::unavailable;
    return failure;
  }
  return Error{
      .code = Errc::maybe_persisted,
      .message = "the append to topic " + topic + " was sent but not acknowledged: " + failure.message,
      .hint = "it may be in the log; look for it before sending it again",
      .retryable = false};
}

}  // namespace flux::kafka
