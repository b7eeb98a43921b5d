#include "common/engines/embedded/ledger.hpp"
