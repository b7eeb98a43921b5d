#pragma once
// What `flux lag` says: for programs and for people.

#include <cstdint>
#include <string>
#include <vector>

#include "cli/inspect/group_lag.hpp"

namespace flux::inspect {

struct LagTextOptions {
  std::int64_t threshold = 1000;
  bool color = false;
  bool all_partitions = false;  // else the worst ones of a wide topic
};

// One line, without the newline; the document of the contract.
std::string lag_json(const std::vector<GroupLag>& groups);
// At most 80 columns wide.
std::string lag_text(const std::vector<GroupLag>& groups, const LagTextOptions& options);

}  // namespace flux::inspect
