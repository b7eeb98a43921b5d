#include <CLI/CLI.hpp>

#include "cli/inspect/lag.hpp"
#include "daemons/api/run_api.hpp"
