#include "daemons/api/run_api.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "common/core/log.hpp"
#include "common/engines/open_engines.hpp"
#include "daemons/api/api_server.hpp"
#include "daemons/api/engine_watch.hpp"
#include "daemons/runtime/listen_address.hpp"
#include "daemons/runtime/shutdown_signals.hpp"

namespace flux::api {
namespace {

Result<> check_access(ApiState& state, const ApiOptions& options, const runtime::ListenAddress& address) {
  if (auto loaded = state.tokens.load(); !loaded) return loaded.error();
  if (state.tokens.configured() || address.is_loopback() || options.insecure) return {};
  return Error{
      Errc::invalid_argument,
      "refusing to listen on " + options.listen + ": anybody could order, as no tokens are configured",
      "set api.tokens_file, listen on 127.0.0.1, or say --insecure"};
}

// Every connection is a descriptor; what the system allows at most is what we want.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::size_t connections_allowed() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  constexpr rlim_t kForEngines = 512, kMost = 100'000;
  return static_cast<std::size_t>(std::clamp<rlim_t>(limit.rlim_cur, kForEngines + 64, kMost) - kForEngines);
}

std::vector<TopicSpec> topics_of(const Config& config) {
  std::vector<TopicSpec> topics;
  for (const auto& [name, topic] : config.kafka.topics)
    topics.push_back({name, topic.partitions, topic.replication});
  return topics;
}

struct Engines {
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<EventLog> event_log;
};

Result<Engines> open_engines(const Config& config) {
  Engines engines;
  auto ledger = open_ledger(config);
  if (!ledger) return ledger.error();
  engines.ledger = std::move(*ledger);
  auto event_log = open_event_log(config);
  if (!event_log) return event_log.error();
  engines.event_log = std::move(*event_log);
  if (auto made = engines.event_log->ensure_topics(topics_of(config)); !made) return made.error();
  return engines;
}

// Answers what is under way, for at most the configured time; a second signal ends the patience.
bool drain(ApiServer& server, runtime::ShutdownSignals& signals, Duration at_most) {
  server.begin_drain();
  const auto end = std::chrono::steady_clock::now() + at_most;
  while (!server.await_drained(std::chrono::milliseconds{50})) {
    if (std::chrono::steady_clock::now() >= end) {
      log::warning("connections were still open at the end of the drain time");
      return false;
    }
    if (signals.wait(std::chrono::milliseconds{1}) != 0) {
      log::warning("second signal: not waiting for open connections");
      return false;
    }
  }
  return true;
}

}  // namespace

Result<ExitCode> run_api(const Config& config, const ApiOptions& options) {
  log::configure(config.log.level, config.log.format, options.name);
  const auto address = runtime::parse_listen_address(options.listen);
  if (!address) return address.error();
  MetricsRegistry metrics;
  register_process_metrics(metrics);
  ApiState state(config, metrics);
  if (auto allowed = check_access(state, options, *address); !allowed) return allowed.error();
  raise_descriptor_limit();
  runtime::ShutdownSignals signals;

  auto engines = open_engines(config);
  if (!engines) return engines.error();
  state.ledger = engines->ledger.get();
  state.event_log = engines->event_log.get();

  ApiServer server(state, options.threads);
  for (std::size_t i = 0; i < server.loops().size(); ++i) {
    const auto executor = server.loops()[i].get_executor();
    auto store = open_state_store(config, executor);
    if (!store) return store.error();
    auto producer = engines->event_log->producer(executor);
    if (!producer) return producer.error();
    server.set_engines(i, std::move(*store), std::move(*producer));
  }
  auto started = server.start(*address, connections_allowed());
  if (!started) return started.error();
  if (auto written = runtime::write_address_file(options.address_file, started->to_string()); !written)
    return written.error();
  log::info("listening", {{"url", "http://" + started->to_string()}});

  signals.wait();
  log::info("draining");
  const bool drained = drain(server, signals, config.api.drain);
  const auto flushed = server.stop(std::chrono::seconds{5});
  if (!flushed) log::warning("not everything reached the event log", {{"why", flushed.error().message}});
  log::info("stopped", {{"drained", drained ? "yes" : "no"}});
  return ExitCode::done;
}

}  // namespace flux::api
