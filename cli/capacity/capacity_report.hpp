#pragma once
// What each component carries, what a load asks of it, which one binds first, and what
// it takes to carry the load: replicas, partitions, connections, tier and cost.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/inspect/connection_budget.hpp"
#include "common/config/config.hpp"
#include "common/core/result.hpp"

namespace flux::capacity {

// One load test that held the SLO. It replaces the default ceiling of the API, and nothing is
// claimed beyond it.
struct Measurement {
  std::string source;  // file
  double rps = 0;
  std::optional<std::string> first_saturated{};
};

struct ReportInput {
  std::vector<double> loads{10e3, 100e3, 1e6};  // requests per second
  double order_share = 1;                       // of the requests, that are orders
  double orders_per_transaction = 100;          // how many orders the worker settles at once
  std::map<std::string, double> ceilings{};     // by component, instead of the defaults
  std::optional<Measurement> measurement{};
};

struct Component {
  std::string name;
  std::string what;  // what the ceiling counts, e.g. "requests/s an instance"
  double ceiling = 0;
  double per_request = 0;  // demand that one request makes
  std::int64_t units = 1;  // configured
  bool more_units = true;  // false: one key or row stays one, whatever is added around it
  std::string source{};    // of the ceiling
  double carries_rps() const { return static_cast<double>(units) * ceiling / per_request; }
};

struct ComponentLoad {
  std::string component;
  double demand = 0;                            // per second
  double utilization = 0;                       // of what is configured
  std::optional<std::int64_t> needed{};         // units at full use; none: refused, or units do not help
  std::optional<std::int64_t> with_headroom{};  // units at 70 % use
  std::string refusal{};                        // why no number is given
};

struct Tier {
  std::string users;
  std::int64_t workers = 0;
  std::int64_t partitions = 0;
  double up_to_rps = 0;  // 0: no bound
};

struct LoadPlan {
  double rps = 0;
  std::vector<ComponentLoad> components;  // in the order of CapacityReport::components
  std::string binding;                    // the component used most, as configured
  std::string hard_limit;                 // what more replicas do not lift and is used most
  double hard_limit_used = 0;
  std::string cheapest_way;
  std::optional<std::int64_t> api_replicas{};
  std::int64_t workers = 0;
  std::int64_t partitions = 0;
  inspect::ConnectionBudget connections;  // with those replicas
  Tier tier;
  std::optional<double> cost_usd_month{};  // none: beyond what is known
  std::vector<std::string> notes{};
};

struct CapacityReport {
  std::vector<Component> components;
  double carries_rps = 0;  // as configured
  std::string binding;     // and what binds there
  std::vector<LoadPlan> loads;
  std::optional<Measurement> measurement{};
  std::vector<std::string> notes{};
};

// The names that `ceilings` may have.
std::vector<std::string> component_names();

Result<CapacityReport> capacity_report(const Config& config, const ReportInput& input);

Tier tier_of(double rps);
std::optional<double> cost_of(double rps);

std::string to_text(const CapacityReport& report);
std::string to_json(const CapacityReport& report);
// One page with everything in it: no script, no network, dark or light as the reader has it.
std::string to_html(const CapacityReport& report);

}  // namespace flux::capacity
