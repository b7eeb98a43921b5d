#pragma once
// Looks after the engines from the background: pings them, so that breakers open
// and close without a client's request being the probe, and rebuilds the state
// store from the ledger when it has lost its data.

#include <string>
#include <vector>

#include "daemons/api/api_state.hpp"

namespace flux::api {

struct WatchOptions {
  Duration interval = std::chrono::seconds{1};
  Duration ping_timeout = std::chrono::milliseconds{800};
  // Orders that were on their way when the loss was noticed get this long to reach the log.
  Duration settle_down = std::chrono::seconds{1};
};

// Runs for ever on the loop; ends with it. `pings` is a pool of its own, so that
// an engine that hangs does not hold up the calls of requests.
Async<void> watch_engines(ApiLoop& loop, runtime::BlockingPool& pings, WatchOptions options = {});

// One attempt at whatever stands in the way of `restored`. True: it is restored.
Async<Result<bool>> restore_state(ApiLoop& loop, const std::string& owner, WatchOptions options = {});

// For GET /ready; looks at what the watch found last.
std::vector<std::string> not_ready_because(const ApiState& state);

}  // namespace flux::api
