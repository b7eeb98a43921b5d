#include "common/core/ids.hpp"
