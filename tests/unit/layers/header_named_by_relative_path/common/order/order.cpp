#include "order.hpp"

#include "../core/ids.hpp"
