#pragma once
// Which upstreams there are, from whichever source named them, and the topology
// that the threads work from. Thread-safe.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemons/balancer/settings.hpp"
#include "daemons/balancer/upstream.hpp"

namespace flux::balancer {

enum class UpstreamSource : std::uint8_t { configuration, file, admin };

class UpstreamRegistry {
 public:
  using Listener = std::function<void(std::shared_ptr<const Topology>)>;

  explicit UpstreamRegistry(const Settings& settings) : settings_(settings) {}

  // Told of every change, in order, under the registry's lock.
  void on_change(Listener listener);

  // Everything that `source` names; what it named before and does not name now is
  // removed. Names that do not resolve are an error; the others are taken.
  Result<> replace(UpstreamSource source, const std::vector<UpstreamSpec>& specs);
  Result<> put(const UpstreamSpec& spec);
  Result<> remove(const std::string& id);
  Result<> drain(const std::string& id);
  Result<> set_pool_weight(const std::string& pool, std::uint32_t weight);
  void set_routes(const std::vector<Route>& routes, const std::map<std::string, std::uint32_t>& weights);

  std::shared_ptr<const Topology> topology() const;

 private:
  struct Entry {
    std::shared_ptr<Upstream> upstream;
    UpstreamSource source;
  };
  using Key = std::pair<std::string, std::string>;  // pool, id

  Result<> add(UpstreamSource source, const UpstreamSpec& spec);
  void publish();

  const Settings& settings_;
  mutable std::mutex mutex_;
  bool started_ = false;  // slow start is for those that come later
  std::map<Key, Entry> entries_;
  std::map<std::string, std::uint32_t> pool_weights_;
  std::vector<Route> routes_;
  std::shared_ptr<const Topology> topology_ = std::make_shared<Topology>();
  std::vector<Listener> listeners_;
};

}  // namespace flux::balancer
