#pragma once
// A run whose API died between writing it and publishing its trigger would stay
// queued for ever. When the group has read everything and such a run is old, its
// trigger is published again; a run that did start meanwhile ignores it.

#include <boost/asio/io_context.hpp>
#include <string>

#include "common/ports/ledger.hpp"
#include "common/ports/state_store.hpp"
#include "daemons/worker/log_end_watch.hpp"

namespace flux::worker {

class QueuedRunSweeper {
 public:
  QueuedRunSweeper(EventLog& log, Ledger& ledger, StateStore& store, EventProducer& producer,
                   boost::asio::io_context& loop, std::string owner,
                   Duration grace = std::chrono::seconds{60}, const Clock& clock = system_clock());
  // How many triggers it published again.
  Result<std::int64_t> round();

 private:
  Ledger& ledger_;
  StateStore& store_;
  EventProducer& producer_;
  boost::asio::io_context& loop_;
  std::string owner_;
  Duration grace_;
  const Clock& clock_;
  LogEndWatch watch_;
  WallTime marked_at_{};
};

}  // namespace flux::worker
