#pragma once
// What cannot be processed goes to `<topic>.dlq`, with its reason, where it came
// from and its original headers, so that it can be shown and retried.

#include <string>
#include <string_view>

#include "common/ports/event_log.hpp"

namespace flux::worker {

std::string dead_letter_topic(std::string_view topic);
Record make_dead_letter(const ConsumedRecord& record, std::string_view group, std::string_view reason,
                        int attempts);

}  // namespace flux::worker
