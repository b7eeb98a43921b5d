#include "common/engines/distributed/kafka/client.hpp"

#include <cctype>
#include <string_view>

#include "common/core/log.hpp"
#include "common/engines/distributed/kafka/error_translation.hpp"

namespace flux::kafka {

std::string transport_reason(const std::string& log_line) {
  std::string_view text = log_line;
  if (text.starts_with("[thrd:")) {
    const auto end = text.find("]: ");
    if (end != text.npos) text.remove_prefix(end + 3);
  }
  // The broker's name: "host:port/id: ".
  const auto slash = text.find('/');
  const auto name_end = text.find(": ", slash == text.npos ? 0 : slash);
  if (name_end != text.npos) text.remove_prefix(name_end + 2);
  if (text.starts_with("Connect to ")) {
    const auto failed = text.find(" failed: ");
    if (failed != text.npos) text.remove_prefix(failed + 9);
  }
  const auto after = text.rfind(" (after ");
  if (after != text.npos) text = text.substr(0, after);
  std::string reason{text};
  // "Connection refused" reads on inside a sentence; "SSL handshake" stays.
  if (reason.size() > 1 && std::islower(static_cast<unsigned char>(reason[1])))
    reason[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(reason[0])));
  return reason;
}

Client::Client(const KafkaOptions& options, RebalanceHook hook)
    : brokers_{options.brokers}, origin_{options.brokers_origin}, hook_{std::move(hook)} {}

Result<std::unique_ptr<Client>> Client::start(rd_kafka_type_t type, ConfHandle conf,
                                              const KafkaOptions& options, RebalanceHook hook) {
  const bool rebalances = static_cast<bool>(hook);
  std::unique_ptr<Client> client{new Client{options, std::move(hook)}};
  rd_kafka_conf_set_opaque(conf.get(), client.get());
  rd_kafka_conf_set_log_cb(conf.get(), &Client::on_log);
  rd_kafka_conf_set_error_cb(conf.get(), &Client::on_error);
  if (rebalances) rd_kafka_conf_set_rebalance_cb(conf.get(), &Client::on_rebalance);
  char why[512] = "";
  rd_kafka_t* handle = rd_kafka_new(type, conf.get(), why, sizeof why);
  if (handle == nullptr) {
    if (rd_kafka_last_error() == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE)
      return Error{.code = Errc::exhausted,
                   .message = std::string{"cannot start a Kafka client: "} + why,
                   .hint = "raise the limits of threads and memory of this process",
                   .retryable = true};
    return Error{.code = Errc::invalid_argument,
                 .message = std::string{"the Kafka properties do not fit together: "} + why,
                 .hint = "mend kafka.properties"};
  }
  static_cast<void>(conf.release());  // rd_kafka_new took it
  client->handle_.reset(handle);
  return client;
}

Error Client::unreachable() const {
  std::string reason;
  {
    const std::lock_guard lock{mutex_};
    reason = last_transport_error_;
  }
  return Error{.code = Errc::unavailable,
               .message = "cannot reach Kafka at " + brokers_ + (reason.empty() ? "" : " (" + reason + ")"),
               .hint = "start it, or set kafka.brokers" + (origin_.empty() ? "" : " (" + origin_ + ")"),
               .retryable = true};
}

Error Client::failure(rd_kafka_resp_err_t code, const std::string& doing) const {
  const rd_kafka_resp_err_t root = root_cause(code);
  if (is_transport_failure(root)) {
    Error error = unreachable();
    error.message = "cannot " + doing + ": " + error.message;
    return error;
  }
  return translate(root, doing);
}

rd_kafka_resp_err_t Client::root_cause(rd_kafka_resp_err_t code) const {
  if (code != RD_KAFKA_RESP_ERR__FATAL) return code;
  char why[256];
  const rd_kafka_resp_err_t first = rd_kafka_fatal_error(handle_.get(), why, sizeof why);
  return first == RD_KAFKA_RESP_ERR_NO_ERROR ? code : first;
}

void Client::note_error(rd_kafka_resp_err_t code) {
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) all_down_.store(true, std::memory_order_relaxed);
}

void Client::on_log(const rd_kafka_t* handle, int, const char* facility, const char* text) {
  auto* const self = static_cast<Client*>(rd_kafka_opaque(handle));
  const std::string_view kind = facility;
  if (self != nullptr && kind == "FAIL") {
    std::string reason = transport_reason(text);
    const std::lock_guard lock{self->mutex_};
    self->last_transport_error_ = std::move(reason);
  }
  log::debug(text, {{"librdkafka", facility}});
}

void Client::on_error(rd_kafka_t*, int code, const char*, void* self) {
  static_cast<Client*>(self)->note_error(static_cast<rd_kafka_resp_err_t>(code));
}

void Client::on_rebalance(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* partitions,
                          void* self) {
  static_cast<Client*>(self)->hook_(code, partitions);
}

}  // namespace flux::kafka
