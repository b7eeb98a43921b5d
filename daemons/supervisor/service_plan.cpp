#include "daemons/supervisor/service_plan.hpp"

namespace flux::supervisor {

std::vector<ServicePlan> plan_services(const StackOptions& options, const RunDirectory& directory) {
  const auto command = [&](std::initializer_list<std::string> own) {
    std::vector<std::string> arguments{options.binary};
    arguments.insert(arguments.end(), options.global_arguments.begin(), options.global_arguments.end());
    arguments.insert(arguments.end(), own);
    return arguments;
  };
  std::vector<ServicePlan> plans;
  plans.push_back({"worker-inventory", options.workers, false, false,
                   command({"worker", "--group", "inventory", "--listen", "127.0.0.1:0"})});
  plans.push_back({"worker-workflows", options.workflow_workers, false, false,
                   command({"worker", "--group", "workflows", "--listen", "127.0.0.1:0"})});
  plans.push_back({"api", options.api, true, false, command({"serve", "--listen", "127.0.0.1:0"})});
  plans.push_back(
      {"balancer", 1, false, true,
       command({"balancer", "--listen", options.balancer_listen, "--admin", options.balancer_admin,
                "--algorithm", options.balancer_algorithm, "--upstreams-file", directory.upstreams_file()})});
  return plans;
}

std::vector<std::string> replica_arguments(const ServicePlan& plan, const std::string& replica_id,
                                           const std::string& address_file) {
  std::vector<std::string> arguments = plan.arguments;
  arguments.insert(arguments.end(), {"--address-file", address_file});
  if (!plan.is_balancer) arguments.insert(arguments.end(), {"--name", replica_id});
  return arguments;
}

}  // namespace flux::supervisor
