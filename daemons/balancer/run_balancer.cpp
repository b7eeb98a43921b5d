#include "daemons/balancer/run_balancer.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "common/core/log.hpp"
#include "daemons/balancer/admin_routes.hpp"
#include "daemons/balancer/health_prober.hpp"
#include "daemons/balancer/upstream_registry.hpp"
#include "daemons/balancer/worker.hpp"
#include "daemons/runtime/event_loops.hpp"
#include "daemons/runtime/http_server.hpp"

namespace flux::balancer {
namespace {

constexpr auto kLook = std::chrono::milliseconds{100};

// The watched file: its content is read again when its inode, size or time changes.
class UpstreamsFile {
 public:
  UpstreamsFile(std::string name, UpstreamRegistry& registry) : name_(std::move(name)), registry_(registry) {}

  void look() {
    if (name_.empty()) return;
    struct stat now {};
    if (::stat(name_.c_str(), &now) != 0) {
      // A file that is not there yet, or between two versions, changes nothing.
      return;
    }
    if (now.st_ino == seen_.st_ino && now.st_size == seen_.st_size &&
        now.st_mtim.tv_sec == seen_.st_mtim.tv_sec && now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec)
      return;
    seen_ = now;
    std::ifstream in(name_);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) return log::error("cannot read the upstreams", {{"file", name_}});
    const auto specs = parse_upstreams_file(text.str(), name_);
    if (!specs) return log::error("upstreams not taken over", {{"error", specs.error().one_line()}});
    const auto replaced = registry_.replace(UpstreamSource::file, *specs);
    if (!replaced) log::error("an upstream was left out", {{"error", replaced.error().one_line()}});
    log::info("upstreams read", {{"file", name_}, {"count", std::to_string(specs->size())}});
  }

 private:
  std::string name_;
  UpstreamRegistry& registry_;
  struct stat seen_ {};
};

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, signal);
  return set;
}

// Blocked in every thread; the main thread takes them when it is ready to.
class BlockedSignals {
 public:
  BlockedSignals() : set_(handled_signals()) { pthread_sigmask(SIG_BLOCK, &set_, &before_); }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  // The next signal, or 0 after `at_most`.
  int next(std::chrono::milliseconds at_most) const {
    const timespec wait{at_most.count() / 1000, (at_most.count() % 1000) * 1'000'000};
    const int signal = sigtimedwait(&set_, nullptr, &wait);
    return signal > 0 ? signal : 0;
  }

 private:
  sigset_t set_;
  sigset_t before_{};
};

void reload(const Settings& settings, const BalancerOptions& options, UpstreamRegistry& registry) {
  if (!options.reload) return;
  const auto config = options.reload();
  if (!config) return log::error("configuration not taken over", {{"error", config.error().one_line()}});
  BalancerOptions same = options;
  same.threads = settings.threads;
  const auto next = make_settings(*config, same);
  if (!next) return log::error("configuration not taken over", {{"error", next.error().one_line()}});
  registry.set_routes(next->routes, next->pool_weights);
  if (const auto replaced = registry.replace(UpstreamSource::configuration, next->upstreams); !replaced)
    log::error("an upstream was left out", {{"error", replaced.error().one_line()}});
  log::info("configuration read again", {{"upstreams", std::to_string(next->upstreams.size())}});
}

// All threads' listeners on one address; a free port is chosen by the first.
Result<std::vector<OwnedFd>> open_listeners(SocketAddress& address, unsigned threads) {
  std::vector<OwnedFd> listeners;
  for (unsigned i = 0; i < threads; ++i) {
    auto listener = listen_on(address, true);
    if (!listener) return listener.error();
    if (i == 0) {
      const auto bound = bound_address(listener->get());
      if (!bound) return bound.error();
      address = *bound;
    }
    listeners.push_back(std::move(*listener));
  }
  return listeners;
}

bool wait_for(std::atomic<unsigned>& running, Duration at_most, const BlockedSignals& signals) {
  const auto deadline = system_clock().steady() + at_most;
  while (running != 0) {
    if (system_clock().steady() >= deadline) return false;
    // A second signal says: now.
    const int signal = signals.next(std::chrono::milliseconds{20});
    if (signal == SIGTERM || signal == SIGINT) return false;
  }
  return true;
}

}  // namespace

Result<ExitCode> run_balancer(const Config& config, const BalancerOptions& options) {
  auto made = make_settings(config, options);
  if (!made) return made.error();
  Settings settings = std::move(*made);
  const BlockedSignals signals;

  UpstreamRegistry registry(settings);
  registry.set_routes(settings.routes, settings.pool_weights);
  if (const auto replaced = registry.replace(UpstreamSource::configuration, settings.upstreams); !replaced)
    return replaced.error();
  UpstreamsFile file(settings.upstreams_file, registry);
  file.look();

  auto listeners = open_listeners(settings.listen, settings.threads);
  if (!listeners) return listeners.error();
  ClientCap cap(settings.client.per_address);
  Workers workers;
  for (unsigned i = 0; i < settings.threads; ++i)
    workers.push_back(std::make_unique<Worker>(settings, i, std::move((*listeners)[i]), cap));

  std::atomic<bool> draining{false};
  MetricsRegistry metrics;
  register_process_metrics(metrics);
  runtime::EventLoops control(1);
  runtime::RouteTable routes;
  add_admin_routes(routes, {registry, workers, settings, metrics, draining});
  runtime::HttpServerOptions admin_options;
  admin_options.max_connections = 256;
  const auto admin_address = runtime::parse_listen_address(settings.admin.host_port());
  if (!admin_address) return admin_address.error();
  auto admin = runtime::HttpServer::listen(
      control, *admin_address, admin_options,
      {[&routes](runtime::HttpRequest& request) { return routes.dispatch(request); }}, metrics);
  if (!admin) return admin.error();
  HealthProber prober(control[0], settings, [&workers](const std::shared_ptr<Upstream>& upstream) {
    for (const auto& worker : workers) worker->upstream_down(upstream);
  });
  registry.on_change([&](const std::shared_ptr<const Topology>& topology) {
    for (const auto& worker : workers) worker->apply(topology);
    prober.apply(topology);
  });

  const std::string address = settings.listen.host_port();
  const std::string admin_at = (*admin)->address().to_string();
  if (auto written = runtime::write_address_file(settings.address_file, address + "\n" + admin_at); !written)
    return written.error();
  std::atomic<unsigned> running{settings.threads};
  std::vector<std::jthread> threads;
  for (const auto& worker : workers)
    threads.emplace_back([&running, w = worker.get()] {
      w->run();
      --running;
    });
  control.start();
  log::info("balancer listens", {{"address", address},
                                 {"admin", admin_at},
                                 {"algorithm", std::string(to_string(settings.algorithm))},
                                 {"threads", std::to_string(settings.threads)}});

  for (bool stop = false; !stop;) {
    switch (signals.next(kLook)) {
      case SIGTERM:
      case SIGINT: stop = true; break;
      case SIGHUP: reload(settings, options, registry); break;
      case SIGUSR1:
        for (const auto& worker : workers) worker->reopen_logs();
        break;
      default: file.look(); break;
    }
  }
  draining = true;
  log::info("balancer drains", {{"at_most", std::to_string(settings.drain.count() / 1'000'000) + "ms"}});
  for (const auto& worker : workers) worker->start_drain();
  const bool drained = wait_for(running, settings.drain, signals);
  if (!drained) log::warning("drain time is over; what was left is broken off");
  for (const auto& worker : workers) worker->stop_now();
  threads.clear();
  control.stop();
  return ExitCode::done;
}

}  // namespace flux::balancer
