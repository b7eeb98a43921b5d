#include "common/core/ids.hpp"
#include "common/order/order.hpp"
