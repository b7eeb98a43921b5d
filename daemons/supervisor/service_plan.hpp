#pragma once
// Which services a stack has, and the command line of each of their replicas.

#include <string>
#include <vector>

#include "common/config/config.hpp"
#include "daemons/supervisor/run_directory.hpp"

namespace flux::supervisor {

// How this flux was called, so that its replicas see the same configuration.
struct StackOptions {
  std::string binary;                         // the flux executable
  std::vector<std::string> global_arguments;  // --config, --data, --engines as given
  int api = 3;
  int workers = 3;
  int workflow_workers = 1;
  std::string balancer_listen = "127.0.0.1:8080";
  std::string balancer_admin = "127.0.0.1:0";
  std::string balancer_algorithm = "least_conn";
};

// The order is the order of starting; draining goes the other way round.
struct ServicePlan {
  std::string name;
  int replicas = 0;
  bool behind_balancer = false;
  bool is_balancer = false;
  std::vector<std::string> arguments;  // without what differs per replica
};

std::vector<ServicePlan> plan_services(const StackOptions& options, const RunDirectory& directory);
std::vector<std::string> replica_arguments(const ServicePlan& plan, const std::string& replica_id,
                                           const std::string& address_file);

}  // namespace flux::supervisor
