#include "tests/fakes/manual_log.hpp"
