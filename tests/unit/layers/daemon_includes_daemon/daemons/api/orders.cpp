#include "daemons/worker/settle_orders.hpp"
