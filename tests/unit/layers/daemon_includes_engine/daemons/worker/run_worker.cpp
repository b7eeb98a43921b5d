#include "common/engines/embedded/embedded_engines.hpp"
