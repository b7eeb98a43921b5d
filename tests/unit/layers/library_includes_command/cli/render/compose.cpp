#include "cli/commands/command_line.hpp"
