#pragma once
// The state of a user in the middle of an exchange; most users have none.

#include <memory>
#include <optional>
#include <string>

#include "cli/loadtest/engine.hpp"
#include "cli/loadtest/response_reader.hpp"
#include "cli/loadtest/websocket_frames.hpp"

namespace flux::loadtest {

struct Engine::Exchange {
  std::string unsent{};                      // the rest of a request that the socket did not take
  std::optional<ResponseReader> response{};  // a response that comes in parts
};

}  // namespace flux::loadtest
