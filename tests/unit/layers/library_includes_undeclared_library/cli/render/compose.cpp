#include "cli/inspect/lag.hpp"
