// What `flux status` shows, as the JSON of the contract.

#include <boost/json.hpp>
#include <cmath>

#include "daemons/supervisor/supervisor.hpp"

namespace flux::supervisor {
namespace json = boost::json;

std::string Supervisor::status_json() const {
  const auto now = system_clock().steady();
  json::array services;
  for (const Service& service : services_) {
    json::array replicas;
    std::int64_t ready = 0;
    for (const Replica& r : service.replicas) {
      ready += r.state == ReplicaState::ready ? 1 : 0;
      const double uptime = r.runs() ? std::chrono::duration<double>(now - r.started).count() : 0;
      replicas.push_back({{"id", r.id},
                          {"pid", r.pid},
                          {"address", r.address},
                          {"state", to_string(r.state)},
                          {"restarts", r.restarts},
                          {"uptime_s", std::round(uptime * 10) / 10},
                          {"cpu_percent", std::round(r.cpu_percent * 10) / 10},
                          {"rss_bytes", r.rss_bytes}});
      if (!r.admin_address.empty()) replicas.back().as_object()["admin"] = r.admin_address;
    }
    services.push_back({{"name", service.plan.name},
                        {"desired", service.desired},
                        {"ready", ready},
                        {"replicas", std::move(replicas)}});
  }
  return json::serialize(json::value{{"url", url()}, {"services", std::move(services)}});
}

}  // namespace flux::supervisor
