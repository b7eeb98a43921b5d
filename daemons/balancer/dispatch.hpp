#pragma once
// One thread's way to the upstreams: which pool and which upstream serves a
// request, the kept-alive connections to each, and the requests that wait
// because every upstream has as much as it may have.

#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemons/balancer/event_loop.hpp"
#include "daemons/balancer/settings.hpp"
#include "daemons/balancer/upstream.hpp"

namespace flux::balancer {

class Exchange;
class UpstreamConnection;
class Worker;

// An upstream as one thread sees it.
struct UpstreamSlot {
  explicit UpstreamSlot(std::shared_ptr<Upstream> upstream) : shared(std::move(upstream)) {}

  std::shared_ptr<Upstream> shared;
  TrafficCounters* counters = nullptr;
  double turn = 0;                     // smooth weighted round robin
  std::int64_t ewma_at_ns = 0;         // when the peak EWMA was last fed by this thread
  std::uint32_t active_here = 0;       // of this thread
  UpstreamConnection* idle = nullptr;  // kept alive, the latest used first
  UpstreamConnection* busy = nullptr;  // serving an exchange
  bool listed = true;                  // false: removed; lives on until its last connection ends
};

// Exchanges in the order in which they came to wait.
struct WaitingLine {
  Exchange* first = nullptr;
  Exchange* last = nullptr;
  std::uint32_t size = 0;
};

struct PoolSlot {
  std::string name;
  std::uint32_t weight = 1;
  std::vector<UpstreamSlot*> members;
  std::uint32_t active = 0;    // of this thread
  std::uint32_t retrying = 0;  // of these
  bool pumping = false;
  WaitingLine waiting;          // for a free place at an upstream
  WaitingLine waiting_retries;  // for the retry budget
};

class Dispatch final : Timer {
 public:
  Dispatch(Worker& worker, unsigned thread);
  ~Dispatch() override;

  void apply(std::shared_ptr<const Topology> topology);
  PoolSlot* pool_for(std::string_view path);

  // Sends the exchange on its way: attaches it to an upstream, lets it wait, or refuses it.
  void submit(Exchange& exchange);
  // The exchange failed before its answer began; it may be repeated elsewhere.
  void resubmit(Exchange& exchange);
  // Gives an upstream's place back and lets the next one in.
  void release(Exchange& exchange);
  // A tunnel stays for long and must not keep requests out.
  void free_place(Exchange& exchange);
  void stop_waiting(Exchange& exchange);

  // Whether a request that got a 5xx has somebody better to go to, within the budget.
  bool another_upstream(const Exchange& exchange);

  // An idle connection, or nullptr.
  UpstreamConnection* take_idle(UpstreamSlot& slot, bool idempotent);
  void close_if_unlisted(UpstreamSlot& slot);

  // Moves what has not been answered yet away from an upstream that is down.
  void abandon_upstream(const Upstream* upstream);
  void close_idle();

  std::uint64_t waiting() const;
  QuickRandom& random() { return random_; }

 private:
  enum class Pick { found, full, none };
  Pick pick(Exchange& exchange, PoolSlot& pool, UpstreamSlot*& slot);
  bool usable(UpstreamSlot& slot, bool panic);
  void attach(Exchange& exchange, UpstreamSlot& slot);
  bool enqueue(WaitingLine& line, Exchange& exchange);
  void pump(PoolSlot& pool);
  void let_in(PoolSlot& pool);
  void expire(WaitingLine& line);
  void on_deadline() override;
  void arm();

  Worker& worker_;
  const Settings& settings_;
  unsigned thread_;
  std::uint32_t place_limit_;  // of this thread, at one upstream
  std::shared_ptr<const Topology> topology_;
  std::unordered_map<const Upstream*, std::unique_ptr<UpstreamSlot>> slots_;
  std::unordered_map<std::string, std::unique_ptr<PoolSlot>> pools_;
  struct RouteSlot {
    std::string prefix;
    std::vector<PoolSlot*> pools;
  };
  std::vector<RouteSlot> routes_;
  std::vector<Candidate> candidates_;  // scratch of pick()
  std::vector<UpstreamSlot*> candidate_slots_;
  QuickRandom random_;
};

}  // namespace flux::balancer
