#pragma once
// The engines that need no server: SQLite files in one data directory, shared
// by all processes of this machine.

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/ports/event_log.hpp"
#include "common/ports/ledger.hpp"
#include "common/ports/state_store.hpp"

namespace flux::embedded {

struct EmbeddedOptions {
  std::string directory;  // created when missing; holds log/, state.db and ledger.db
  const Clock* clock = &system_clock();
};

Result<std::unique_ptr<EventLog>> open_event_log(const EmbeddedOptions& options);
Result<std::unique_ptr<StateStore>> open_state_store(const EmbeddedOptions& options,
                                                     boost::asio::any_io_executor loop);
Result<std::unique_ptr<Ledger>> open_ledger(const EmbeddedOptions& options);

}  // namespace flux::embedded
