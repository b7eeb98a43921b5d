#pragma once
// Every command of flux, one line each. A command lives in the file of its name.

#include "cli/commands/command_line.hpp"

namespace flux::cli {

void add_config_command(CommandLine& line);

inline void add_all_commands(CommandLine& line) {
  add_config_command(line);
}

}  // namespace flux::cli
