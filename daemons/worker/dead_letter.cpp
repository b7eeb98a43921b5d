#include "daemons/worker/dead_letter.hpp"

namespace flux::worker {

std::string dead_letter_topic(std::string_view topic) {
  return std::string(topic) + ".dlq";
}

Record make_dead_letter(const ConsumedRecord& record, std::string_view group, std::string_view reason,
                        int attempts) {
  Record letter{dead_letter_topic(record.source.topic), record.key, record.value, record.headers};
  letter.headers.emplace_back("flux-dlq-reason", reason);
  letter.headers.emplace_back("flux-dlq-group", group);
  letter.headers.emplace_back("flux-dlq-topic", record.source.topic);
  letter.headers.emplace_back("flux-dlq-partition", std::to_string(record.source.partition));
  letter.headers.emplace_back("flux-dlq-offset", std::to_string(record.offset));
  letter.headers.emplace_back("flux-dlq-attempts", std::to_string(attempts));
  return letter;
}

}  // namespace flux::worker
