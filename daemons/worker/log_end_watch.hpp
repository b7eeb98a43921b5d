#pragma once
// Knows when a group has read everything that was in a topic at one moment.
// Only then does "the ledger does not know this order" mean that it never will.

#include <optional>
#include <string>
#include <vector>

#include "common/ports/event_log.hpp"
#include "common/ports/ledger.hpp"

namespace flux::worker {

class LogEndWatch {
 public:
  LogEndWatch(EventLog& log, Ledger& ledger, std::string group, std::string topic)
      : log_(log), ledger_(ledger), group_(std::move(group)), topic_(std::move(topic)) {}

  // Remembers the log's end now.
  Result<> mark();
  // True when a mark was set and the ledger has passed it in every partition.
  Result<bool> passed();
  bool marked() const { return ends_.has_value(); }
  void clear() { ends_.reset(); }

 private:
  EventLog& log_;
  Ledger& ledger_;
  std::string group_;
  std::string topic_;
  std::optional<std::vector<std::int64_t>> ends_;
};

}  // namespace flux::worker
