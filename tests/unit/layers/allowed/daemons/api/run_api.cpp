#include "daemons/api/run_api.hpp"

#include <sys/socket.h>

#include "common/core/result.hpp"
#include "common/engines/open_engines.hpp"
