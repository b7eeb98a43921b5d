#pragma once
// The one place that turns the configuration into engines. Everything above
// sees the ports only.

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "common/config/config.hpp"
#include "common/core/result.hpp"
#include "common/ports/event_log.hpp"
#include "common/ports/ledger.hpp"
#include "common/ports/log_inspector.hpp"
#include "common/ports/state_store.hpp"

namespace flux {

Result<std::unique_ptr<EventLog>> open_event_log(const Config& config);
// One per event loop; see StateStore.
Result<std::unique_ptr<StateStore>> open_state_store(const Config& config, boost::asio::any_io_executor loop);
Result<std::unique_ptr<Ledger>> open_ledger(const Config& config);
// Looks at the event log from outside; creates nothing by being opened.
Result<std::unique_ptr<LogInspector>> open_log_inspector(const Config& config);

}  // namespace flux
