#include "common/engines/distributed/kafka/error_translation.hpp"

#include <gtest/gtest.h>

#include "common/engines/distributed/kafka/client.hpp"

namespace flux::kafka {
namespace {

TEST(KafkaErrorTranslation, SaysWhatTheCallerCanDoAboutEachKind) {
  struct Case {
    rd_kafka_resp_err_t code;
    Errc expected;
    bool retryable;
  };
  const Case cases[] = {
      {RD_KAFKA_RESP_ERR__TRANSPORT, Errc::unavailable, true},
      {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, Errc::unavailable, true},
      {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, Errc::unavailable, true},
      {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, Errc::unavailable, true},
      {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, Errc::unavailable, true},
      {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, Errc::unavailable, true},
      {RD_KAFKA_RESP_ERR__QUEUE_FULL, Errc::exhausted, true},
      {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, Errc::exhausted, true},
      {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, Errc::not_found, false},
      {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, Errc::not_found, false},
      {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Errc::invalid_argument, false},
      {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, Errc::invalid_argument, false},
      {RD_KAFKA_RESP_ERR__AUTHENTICATION, Errc::unauthorized, false},
      {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Errc::forbidden, false},
      {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, Errc::fenced, false},
      {RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, Errc::already_exists, false},
      {RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP, Errc::conflict, false},
      {RD_KAFKA_RESP_ERR_UNKNOWN, Errc::internal, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(rd_kafka_err2name(c.code));
    const Error error = translate(c.code, "append to topic orders");
    EXPECT_EQ(error.code, c.expected);
    EXPECT_EQ(error.retryable, c.retryable);
    EXPECT_TRUE(error.message.starts_with("cannot append to topic orders: ")) << error.message;
    EXPECT_EQ(error.message.find('\n'), std::string::npos);
  }
}

TEST(KafkaErrorTranslation, OnlyARecordThatWasNeverSentIsSurelyNotPersisted) {
  const Error failure = translate(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, "append to topic orders");
  EXPECT_EQ(translate_delivery(failure, RD_KAFKA_MSG_STATUS_NOT_PERSISTED, "orders").code, Errc::unavailable);
  const Error unsure = translate_delivery(failure, RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED, "orders");
  EXPECT_EQ(unsure.code, Errc::maybe_persisted);
  EXPECT_FALSE(unsure.retryable);
}

TEST(KafkaTransportReason, KeepsWhatAPersonNeedsOfALogLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"[thrd:127.0.0.1:9/bootstrap]: 127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: "
       "Connection refused (after 0ms in state CONNECT)",
       "connection refused"},
      {"127.0.0.1:9/1: Disconnected (after 12ms in state UP, 1 identical error(s) suppressed)",
       "disconnected"},
      {"[thrd:x:1/bootstrap]: x:1/bootstrap: Failed to resolve 'x:1': Name or service not known (after 3ms "
       "in state CONNECT)",
       "failed to resolve 'x:1': Name or service not known"},
      {"[thrd:a:1/bootstrap]: a:1/bootstrap: SSL handshake failed: bad certificate (after 1ms in state X)",
       "SSL handshake failed: bad certificate"},
      {"", ""},
  };
  for (const auto& [line, reason] : cases) EXPECT_EQ(transport_reason(line), reason) << line;
}

}  // namespace
}  // namespace flux::kafka
