#include "daemons/api/orders.hpp"
