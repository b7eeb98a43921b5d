#include "daemons/balancer/upstream_registry.hpp"

#include <algorithm>

#include "common/core/log.hpp"

namespace flux::balancer {
namespace {

std::int64_t now_ns() {
  return system_clock().steady().time_since_epoch().count();
}

Error unknown_upstream(const std::string& id) {
  return {Errc::not_found, "there is no upstream " + id, "GET /upstreams lists them"};
}

}  // namespace

void UpstreamRegistry::on_change(Listener listener) {
  const std::lock_guard lock(mutex_);
  listener(topology_);
  listeners_.push_back(std::move(listener));
  started_ = true;
}

Result<> UpstreamRegistry::add(UpstreamSource source, const UpstreamSpec& spec) {
  const Key key{spec.pool, spec.id};
  if (const auto known = entries_.find(key); known != entries_.end()) {
    known->second.upstream->weight = spec.weight;
    known->second.source = source;
    // Named again: what was draining is wanted back.
    if (source != UpstreamSource::configuration) known->second.upstream->draining = false;
    return {};
  }
  const auto address = resolve_address(spec.id);
  if (!address) return address.error();
  auto upstream = std::make_shared<Upstream>(spec, *address, settings_.threads, settings_.ejection);
  if (started_ && !entries_.empty()) upstream->slow_start_since = now_ns();
  entries_[key] = {std::move(upstream), source};
  return {};
}

Result<> UpstreamRegistry::replace(UpstreamSource source, const std::vector<UpstreamSpec>& specs) {
  const std::lock_guard lock(mutex_);
  Result<> result;
  const auto named = [&](const Key& key) {
    return std::any_of(specs.begin(), specs.end(),
                       [&](const UpstreamSpec& s) { return s.pool == key.first && s.id == key.second; });
  };
  std::erase_if(entries_,
                [&](const auto& entry) { return entry.second.source == source && !named(entry.first); });
  for (const UpstreamSpec& spec : specs) {
    const auto known = entries_.find({spec.pool, spec.id});
    // The same list again says nothing new about an upstream that is being drained.
    if (known != entries_.end() && known->second.source == source) {
      known->second.upstream->weight = spec.weight;
      continue;
    }
    if (auto added = add(source, spec); !added && result) result = added.error();
  }
  publish();
  return result;
}

Result<> UpstreamRegistry::put(const UpstreamSpec& spec) {
  const std::lock_guard lock(mutex_);
  if (auto added = add(UpstreamSource::admin, spec); !added) return added;
  publish();
  return {};
}

Result<> UpstreamRegistry::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (std::erase_if(entries_, [&](const auto& entry) { return entry.first.second == id; }) == 0)
    return unknown_upstream(id);
  publish();
  return {};
}

Result<> UpstreamRegistry::drain(const std::string& id) {
  const std::lock_guard lock(mutex_);
  bool any = false;
  for (auto& [key, entry] : entries_)
    if (key.second == id) any = entry.upstream->draining = true;
  if (!any) return unknown_upstream(id);
  return {};
}

Result<> UpstreamRegistry::set_pool_weight(const std::string& pool, std::uint32_t weight) {
  const std::lock_guard lock(mutex_);
  if (!topology_->pools.contains(pool))
    return Error{Errc::not_found, "there is no pool " + pool, "GET /stats lists them"};
  pool_weights_[pool] = weight;
  publish();
  return {};
}

void UpstreamRegistry::set_routes(const std::vector<Route>& routes,
                                  const std::map<std::string, std::uint32_t>& weights) {
  const std::lock_guard lock(mutex_);
  routes_ = routes;
  for (const auto& [pool, weight] : weights) pool_weights_[pool] = weight;
  publish();
}

std::shared_ptr<const Topology> UpstreamRegistry::topology() const {
  const std::lock_guard lock(mutex_);
  return topology_;
}

void UpstreamRegistry::publish() {
  auto next = std::make_shared<Topology>();
  next->version = topology_->version + 1;
  for (const auto& [key, entry] : entries_) {
    next->upstreams.push_back(entry.upstream);
    next->pools[key.first].name = key.first;
  }
  next->routes = routes_;
  std::vector<std::string> routed;
  bool has_root = false;
  for (const Route& route : routes_) {
    has_root = has_root || route.prefix == "/";
    for (const std::string& pool : route.pools) {
      routed.push_back(pool);
      next->pools[pool].name = pool;
    }
  }
  for (auto& [name, pool] : next->pools)
    if (const auto weight = pool_weights_.find(name); weight != pool_weights_.end())
      pool.weight = weight->second;
  if (!has_root) {  // pools that no route names share everything else
    Route root{"/", {}};
    for (const auto& [name, pool] : next->pools)
      if (std::find(routed.begin(), routed.end(), name) == routed.end()) root.pools.push_back(name);
    next->routes.push_back(std::move(root));
  }
  topology_ = std::move(next);
  for (const Listener& listener : listeners_) listener(topology_);
}

}  // namespace flux::balancer
