#include "daemons/balancer/health_prober.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/core/log.hpp"
#include "common/http/http_client.hpp"

namespace flux::balancer {
namespace asio = boost::asio;
namespace {

constexpr auto kLook = std::chrono::milliseconds{100};
constexpr auto kStalled = std::chrono::seconds{1};
constexpr auto kSweep = std::chrono::seconds{10};

// Any answer but a server error from a path nobody set up still shows a living server.
bool passes(int status, bool standard_path) {
  return (status >= 200 && status < 400) ||
         (standard_path && (status == 404 || status == 405 || status == 501));
}

}  // namespace

// One upstream's probing; ends when it is no longer wanted.
class HealthProber::Probe : public std::enable_shared_from_this<Probe> {
 public:
  Probe(HealthProber& prober, std::shared_ptr<Upstream> upstream)
      : settings_(prober.settings_), went_down_(prober.went_down_), upstream_(std::move(upstream)) {}

  void start(asio::io_context& loop) {
    asio::co_spawn(
        loop, [self = shared_from_this()] { return self->run(); }, asio::detached);
  }
  void stop() { stopped_ = true; }

 private:
  bool stalled(SteadyTime now) const {
    const auto last = upstream_->last_answer.load(std::memory_order_relaxed);
    return upstream_->active.load(std::memory_order_relaxed) > 0 && last != 0 &&
           now - SteadyTime{Duration{last}} > kStalled;
  }

  bool due(SteadyTime now) const {
    const auto since = now - last_probe_;
    if (since >= settings_.probe.interval) return true;
    if (history_.in_transition() || upstream_->suspicious()) return since >= settings_.probe.fast_interval;
    return since >= kStalled && stalled(now);
  }

  asio::awaitable<void> run() {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    SteadyTime last_sweep = system_clock().steady();
    while (!stopped_) {
      const SteadyTime now = system_clock().steady();
      if (now - last_sweep >= kSweep) {
        last_sweep = now;
        if (history_.up()) upstream_->on_healthy_sweep();
      }
      if (due(now)) co_await probe(now);
      if (stopped_) break;
      timer.expires_after(kLook);
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  asio::awaitable<void> probe(SteadyTime now) {
    const bool fast = history_.in_transition() || upstream_->suspicious() || stalled(now);
    http::ClientRequest request;
    request.url = "http://" + upstream_->address.host_port() + settings_.probe_path;
    request.timeout = fast ? settings_.probe.fast_timeout : settings_.probe.timeout;
    request.max_body = 64 << 10;
    request.headers = {{"Host", upstream_->id}, {"User-Agent", "flux-balancer-probe"}};
    const auto reply = co_await http::request(std::move(request));
    last_probe_ = system_clock().steady();
    record(reply && passes(reply->status, settings_.probe_path == "/ready"));
  }

  void record(bool passed) {
    const auto change = history_.record(settings_.probe, passed);
    const auto now = last_probe_.time_since_epoch().count();
    if (passed && history_.passed_in_a_row() >= settings_.probe.rise && upstream_->suspicious())
      upstream_->on_probes_passed(now, change == ProbeHistory::Change::came_up);
    if (change == ProbeHistory::Change::went_down) {
      upstream_->probed_down = true;
      log::warning("upstream down", {{"upstream", upstream_->id}, {"reason", "probes failed"}});
      went_down_(upstream_);
    } else if (change == ProbeHistory::Change::came_up) {
      upstream_->slow_start_since = now;
      upstream_->probed_down = false;
      log::info("upstream up", {{"upstream", upstream_->id}});
    }
  }

  const Settings& settings_;
  std::function<void(std::shared_ptr<Upstream>)> went_down_;
  std::shared_ptr<Upstream> upstream_;
  ProbeHistory history_;
  SteadyTime last_probe_{};
  bool stopped_ = false;
};

HealthProber::HealthProber(asio::io_context& loop, const Settings& settings,
                           std::function<void(std::shared_ptr<Upstream>)> went_down)
    : loop_(loop), settings_(settings), went_down_(std::move(went_down)) {}

HealthProber::~HealthProber() = default;

void HealthProber::apply(std::shared_ptr<const Topology> topology) {
  if (settings_.probe_path.empty()) return;
  asio::post(loop_, [this, topology = std::move(topology)] {
    std::map<const Upstream*, std::shared_ptr<Probe>> wanted;
    for (const auto& upstream : topology->upstreams) {
      auto& probe = wanted[upstream.get()];
      if (const auto known = probes_.find(upstream.get()); known != probes_.end()) {
        probe = known->second;
      } else {
        probe = std::make_shared<Probe>(*this, upstream);
        probe->start(loop_);
      }
    }
    for (auto& [upstream, probe] : probes_)
      if (!wanted.contains(upstream)) probe->stop();
    probes_ = std::move(wanted);
  });
}

}  // namespace flux::balancer
