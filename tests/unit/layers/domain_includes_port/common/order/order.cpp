#include "common/ports/ledger.hpp"
