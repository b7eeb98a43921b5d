#pragma once
// Asks every upstream whether it is ready: regularly, and at once when the
// traffic suggests that something is wrong.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>

#include "daemons/balancer/settings.hpp"
#include "daemons/balancer/upstream.hpp"

namespace flux::balancer {

class HealthProber {
 public:
  // `went_down` is called on the loop.
  HealthProber(boost::asio::io_context& loop, const Settings& settings,
               std::function<void(std::shared_ptr<Upstream>)> went_down);
  ~HealthProber();

  // Probes those of the topology and forgets others. Any thread.
  void apply(std::shared_ptr<const Topology> topology);

 private:
  class Probe;
  boost::asio::io_context& loop_;
  const Settings& settings_;
  std::function<void(std::shared_ptr<Upstream>)> went_down_;
  std::map<const Upstream*, std::shared_ptr<Probe>> probes_;
};

}  // namespace flux::balancer
