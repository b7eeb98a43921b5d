#include "daemons/balancer/dispatch.hpp"

#include <algorithm>
#include <utility>

#include "common/core/log.hpp"
#include "daemons/balancer/exchange.hpp"
#include "daemons/balancer/upstream_connection.hpp"
#include "daemons/balancer/worker.hpp"

namespace flux::balancer {
namespace {

constexpr std::int64_t kQueueTickMs = 16;
constexpr std::int64_t kTrustedIdleMs = 5;

bool matches(std::string_view prefix, std::string_view path) {
  if (!path.starts_with(prefix)) return prefix == "/";
  return prefix.ends_with('/') || path.size() == prefix.size() || path[prefix.size()] == '/';
}

}  // namespace

Dispatch::Dispatch(Worker& worker, unsigned thread)
    : worker_(worker),
      settings_(worker.settings()),
      thread_(thread),
      place_limit_(std::max(1U, settings_.upstream.active / settings_.threads)),
      random_(hash_bytes(std::to_string(thread) + "/" + std::to_string(worker.loop().now_ns()))) {}

Dispatch::~Dispatch() = default;

void Dispatch::apply(std::shared_ptr<const Topology> topology) {
  for (auto& [upstream, slot] : slots_) slot->listed = false;
  for (auto& [name, pool] : pools_) pool->members.clear();
  for (const auto& upstream : topology->upstreams) {
    auto& slot = slots_[upstream.get()];
    if (!slot) {
      slot = std::make_unique<UpstreamSlot>(upstream);
      slot->counters = &upstream->counters[thread_];
    }
    slot->listed = true;
    auto& pool = pools_[upstream->pool];
    if (!pool) pool = std::make_unique<PoolSlot>();
    pool->members.push_back(slot.get());
  }
  for (const auto& [name, spec] : topology->pools) {
    auto& pool = pools_[name];
    if (!pool) pool = std::make_unique<PoolSlot>();
    pool->name = name;
    pool->weight = spec.weight;
  }
  routes_.clear();
  for (const Route& route : topology->routes) {
    RouteSlot& slot = routes_.emplace_back(RouteSlot{route.prefix, {}});
    for (const std::string& name : route.pools)
      if (const auto pool = pools_.find(name); pool != pools_.end()) slot.pools.push_back(pool->second.get());
  }
  topology_ = std::move(topology);
  std::vector<UpstreamSlot*> removed;
  for (auto& [upstream, slot] : slots_)
    if (!slot->listed) removed.push_back(slot.get());
  for (UpstreamSlot* slot : removed) close_if_unlisted(*slot);
  for (auto& [name, pool] : pools_) pump(*pool);
}

PoolSlot* Dispatch::pool_for(std::string_view path) {
  for (RouteSlot& route : routes_) {
    if (!matches(route.prefix, path)) continue;
    std::uint64_t total = 0;
    for (const PoolSlot* pool : route.pools)
      if (!pool->members.empty()) total += pool->weight;
    if (total == 0) continue;
    if (route.pools.size() == 1) return route.pools.front();
    std::uint64_t at = random_.next() % total;
    for (PoolSlot* pool : route.pools) {
      if (pool->members.empty()) continue;
      if (at < pool->weight) return pool;
      at -= pool->weight;
    }
  }
  return nullptr;
}

bool Dispatch::usable(UpstreamSlot& slot, bool panic) {
  const Upstream& upstream = *slot.shared;
  return !upstream.draining.load(std::memory_order_relaxed) &&
         (panic || !upstream.probed_down.load(std::memory_order_relaxed));
}

Dispatch::Pick Dispatch::pick(Exchange& exchange, PoolSlot& pool, UpstreamSlot*& chosen) {
  const std::int64_t now = worker_.loop().now_ns();
  candidates_.clear();
  candidate_slots_.clear();
  bool full = false;
  const auto collect = [&](bool panic) -> bool {  // true: `chosen` is a trial
    for (UpstreamSlot* slot : pool.members) {
      Upstream& upstream = *slot->shared;
      if (!usable(*slot, panic) || exchange.tried(&upstream)) continue;
      if (!panic) {
        const auto admission = upstream.admission(now, exchange.may_repeat() && exchange.idempotent());
        if (admission == Upstream::Admission::no) continue;
        if (admission == Upstream::Admission::trial) return chosen = slot, true;
      }
      if (slot->active_here >= place_limit_) {
        full = true;
        continue;
      }
      Candidate candidate;
      candidate.weight = upstream.weight.load(std::memory_order_relaxed);
      if (const auto since = upstream.slow_start_since.load(std::memory_order_relaxed); since != 0)
        candidate.weight *= slow_start_share(Duration{now - since}, settings_.slow_start);
      candidate.active = upstream.active.load(std::memory_order_relaxed);
      candidate.ewma_ns = upstream.ewma_ns.load(std::memory_order_relaxed);
      candidate.identity = upstream.identity;
      candidate.turn = &slot->turn;
      if (candidate.weight > 0) {
        candidates_.push_back(candidate);
        candidate_slots_.push_back(slot);
      }
    }
    return false;
  };
  if (collect(false)) return Pick::found;
  // Panic: with less than half of a pool available its rest would drown, so all are used.
  if (candidates_.size() * 2 < pool.members.size()) {
    std::size_t available = 0;
    std::size_t members = 0;
    for (UpstreamSlot* slot : pool.members) {
      if (!usable(*slot, true)) continue;
      ++members;
      if (usable(*slot, false) && !slot->shared->ejected(now)) ++available;
    }
    if (available * 2 < members) {
      worker_.count_panic();
      candidates_.clear();
      candidate_slots_.clear();
      collect(true);
    }
  }
  if (candidates_.empty()) return full ? Pick::full : Pick::none;
  if (exchange.sticky_ != 0)
    for (UpstreamSlot* slot : candidate_slots_)
      if (slot->shared->identity == exchange.sticky_) return chosen = slot, Pick::found;
  const std::size_t index = choose_upstream(settings_.algorithm, candidates_, exchange.key_, random_);
  chosen = candidate_slots_[index];
  return Pick::found;
}

void Dispatch::submit(Exchange& exchange) {
  PoolSlot& pool = *exchange.pool_;
  UpstreamSlot* slot = nullptr;
  switch (pick(exchange, pool, slot)) {
    case Pick::found: return attach(exchange, *slot);
    case Pick::full:
      if (!enqueue(pool.waiting, exchange)) exchange.answer(503, "queue_full", false);
      return;
    case Pick::none:
      return exchange.answer(exchange.attempts_ == 0 ? 503 : 502,
                             exchange.attempts_ == 0 ? "no_upstream_available" : exchange.reason_, false);
  }
}

void Dispatch::resubmit(Exchange& exchange) {
  PoolSlot& pool = *exchange.pool_;
  if (!settings_.retry.allows(pool.active, pool.retrying)) {
    if (!enqueue(pool.waiting_retries, exchange)) exchange.answer(502, exchange.reason_, false);
    return;
  }
  exchange.is_retry_ = true;
  ++pool.retrying;
  submit(exchange);
}

bool Dispatch::another_upstream(const Exchange& exchange) {
  PoolSlot& pool = *exchange.pool_;
  const bool any = std::any_of(pool.members.begin(), pool.members.end(), [&](UpstreamSlot* slot) {
    return usable(*slot, false) && !exchange.tried(slot->shared.get()) &&
           !slot->shared->ejected(worker_.loop().now_ns());
  });
  if (!any) return false;
  // Waiting for the budget is worth it when the upstream as a whole is failing;
  // a request that fails by itself is not held up.
  return settings_.retry.allows(pool.active, pool.retrying) ||
         exchange.slot_->shared->ejections().failures >= 1 ||
         exchange.slot_->shared->ejected(worker_.loop().now_ns());
}

void Dispatch::attach(Exchange& exchange, UpstreamSlot& slot) {
  slot.shared->active.fetch_add(1, std::memory_order_relaxed);
  ++slot.active_here;
  ++exchange.pool_->active;
  exchange.holds_place_ = true;
  exchange.attach(slot);
}

void Dispatch::release(Exchange& exchange) {
  PoolSlot& pool = *exchange.pool_;
  if (exchange.slot_ != nullptr) {
    UpstreamSlot& slot = *exchange.slot_;
    slot.shared->active.fetch_sub(1, std::memory_order_relaxed);
    free_place(exchange);
    exchange.slot_ = nullptr;
    if (!slot.listed) close_if_unlisted(slot);
  }
  if (exchange.is_retry_) {
    exchange.is_retry_ = false;
    --pool.retrying;
  }
  if (pool.waiting.size != 0 || pool.waiting_retries.size != 0) pump(pool);
}

void Dispatch::free_place(Exchange& exchange) {
  if (!std::exchange(exchange.holds_place_, false)) return;
  --exchange.slot_->active_here;
  --exchange.pool_->active;
}

bool Dispatch::enqueue(WaitingLine& line, Exchange& exchange) {
  if (line.size >= std::max(1U, settings_.upstream.queue / settings_.threads)) return false;
  exchange.line_ = &line;
  exchange.waits_until_ms_ = worker_.loop().now_ms() + settings_.upstream.queue_timeout_ms;
  exchange.previous_waiting_ = line.last;
  exchange.next_waiting_ = nullptr;
  (line.last != nullptr ? line.last->next_waiting_ : line.first) = &exchange;
  line.last = &exchange;
  ++line.size;
  arm();
  return true;
}

void Dispatch::stop_waiting(Exchange& exchange) {
  WaitingLine* line = exchange.line_;
  if (line == nullptr) return;
  (exchange.previous_waiting_ != nullptr ? exchange.previous_waiting_->next_waiting_ : line->first) =
      exchange.next_waiting_;
  (exchange.next_waiting_ != nullptr ? exchange.next_waiting_->previous_waiting_ : line->last) =
      exchange.previous_waiting_;
  --line->size;
  exchange.line_ = nullptr;
}

void Dispatch::pump(PoolSlot& pool) {
  if (pool.pumping) return;  // what is let in may fail at once and come by here again
  pool.pumping = true;
  let_in(pool);
  pool.pumping = false;
}

void Dispatch::let_in(PoolSlot& pool) {
  // Each turn of these loops takes the first one off its line for good.
  while (pool.waiting_retries.first != nullptr && settings_.retry.allows(pool.active, pool.retrying)) {
    Exchange& exchange = *pool.waiting_retries.first;
    stop_waiting(exchange);
    resubmit(exchange);
  }
  while (pool.waiting.first != nullptr) {
    Exchange& exchange = *pool.waiting.first;
    UpstreamSlot* slot = nullptr;
    const Pick picked = pick(exchange, pool, slot);
    if (picked == Pick::full) return;
    stop_waiting(exchange);
    if (picked == Pick::found)
      attach(exchange, *slot);
    else
      exchange.answer(503, "no_upstream_available", false);
  }
}

void Dispatch::arm() {
  if (!has_deadline()) set_deadline(worker_.loop().timers(), worker_.loop().now_ms() + kQueueTickMs);
}

void Dispatch::expire(WaitingLine& line) {
  while (line.first != nullptr && line.first->waits_until_ms_ <= worker_.loop().now_ms()) {
    Exchange& exchange = *line.first;
    stop_waiting(exchange);
    exchange.give_up_waiting();
  }
}

void Dispatch::on_deadline() {
  for (auto& [name, pool] : pools_) {
    expire(pool->waiting);
    expire(pool->waiting_retries);
    pump(*pool);
  }
  if (waiting() != 0) arm();
}

std::uint64_t Dispatch::waiting() const {
  std::uint64_t n = 0;
  for (const auto& [name, pool] : pools_) n += pool->waiting.size + pool->waiting_retries.size;
  return n;
}

UpstreamConnection* Dispatch::take_idle(UpstreamSlot& slot, bool idempotent) {
  while (slot.idle != nullptr) {
    UpstreamConnection* connection = slot.idle;
    connection->unlink();
    connection->is_idle_ = false;
    // A close that came lately may not have been seen yet. A request that can be
    // repeated may find out by itself; one that cannot asks first.
    const bool ask = !idempotent || worker_.loop().now_ms() - connection->idle_since_ms_ > kTrustedIdleMs;
    if (!ask || is_quiet(connection->fd())) return connection;
    connection->close();
  }
  return nullptr;
}

void Dispatch::close_if_unlisted(UpstreamSlot& slot) {
  while (slot.idle != nullptr) slot.idle->close();
  if (slot.listed || slot.busy != nullptr || slot.active_here != 0) return;
  // Not now: its last connection may still be on the stack.
  worker_.loop().soon([this, upstream = slot.shared.get()] {
    const auto found = slots_.find(upstream);
    if (found == slots_.end()) return;
    UpstreamSlot& gone = *found->second;
    if (!gone.listed && gone.busy == nullptr && gone.active_here == 0 && gone.idle == nullptr)
      slots_.erase(found);
  });
}

void Dispatch::abandon_upstream(const Upstream* upstream) {
  const auto found = slots_.find(upstream);
  if (found == slots_.end()) return;
  std::vector<Exchange*> moved;
  for (UpstreamConnection* c = found->second->busy; c != nullptr; c = c->next_)
    if (c->exchange() != nullptr && c->exchange()->may_repeat()) moved.push_back(c->exchange());
  for (Exchange* exchange : moved) exchange->on_upstream_failed(UpstreamFailure::closed, "upstream_down");
  while (found->second->idle != nullptr) found->second->idle->close();
}

void Dispatch::close_idle() {
  for (auto& [upstream, slot] : slots_)
    while (slot->idle != nullptr) slot->idle->close();
}

}  // namespace flux::balancer
