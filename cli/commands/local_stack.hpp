#pragma once
// How commands talk to the supervisor of a data directory.

#include <string>

#include "cli/commands/command_line.hpp"

namespace flux::cli {

// Asks the control socket; a Duration for the whole exchange. `not_found` when no
// stack runs there; an error answer of the supervisor comes back as that Error.
Result<std::string> ask_supervisor(Context& context, const std::string& method, const std::string& path,
                                   const std::string& body = "", Duration timeout = std::chrono::seconds{5});

}  // namespace flux::cli
