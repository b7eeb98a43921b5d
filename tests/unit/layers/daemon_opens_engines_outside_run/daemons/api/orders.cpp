#include "common/engines/open_engines.hpp"
