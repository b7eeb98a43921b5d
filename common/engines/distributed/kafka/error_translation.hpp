#pragma once
// The one place where a code of librdkafka or of a broker becomes an Error.

#include <librdkafka/rdkafka.h>

#include <string>

#include "common/core/error.hpp"

namespace flux::kafka {

// No broker answered: connection refused or lost, name not resolved, timeout.
bool is_transport_failure(rd_kafka_resp_err_t code);

// Passes by itself while leaders and coordinators move (a broker restarts): worth
// another try within the caller's deadline.
bool is_passing(rd_kafka_resp_err_t code);

// `doing` completes "cannot …", e.g. "append to topic orders".
Error translate(rd_kafka_resp_err_t code, const std::string& doing);

// The error of an append, where it matters whether the record may be in the log.
Error translate_delivery(Error failure, rd_kafka_msg_status_t status, const std::string& topic);

}  // namespace flux::kafka
