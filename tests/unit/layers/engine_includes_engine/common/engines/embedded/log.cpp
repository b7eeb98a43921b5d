#include "common/engines/distributed/kafka/log.hpp"
