#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/config/config.hpp"
#include "common/config/yaml_section.hpp"

namespace flux {
namespace {

void read_engines(YamlSection& root, EnginesConfig& out) {
  if (root.has("engines")) {
    const YAML::Node node = root.take("engines");
    if (node.IsScalar()) {
      enum class Preset { embedded, distributed } preset = Preset::embedded;
      root.read_choice<Preset>("engines", preset,
                               {{"embedded", Preset::embedded}, {"distributed", Preset::distributed}});
      if (preset == Preset::distributed)
        out = {EventLogEngine::kafka, StateStoreEngine::redis, LedgerEngine::postgres};
      return;
    }
  }
  root.section("engines", [&](YamlSection& s) {
    s.read_choice<EventLogEngine>("event_log", out.event_log,
                                  {{"embedded", EventLogEngine::embedded}, {"kafka", EventLogEngine::kafka}});
    s.read_choice<StateStoreEngine>(
        "state_store", out.state_store,
        {{"embedded", StateStoreEngine::embedded}, {"redis", StateStoreEngine::redis}});
    s.read_choice<LedgerEngine>("ledger", out.ledger,
                                {{"embedded", LedgerEngine::embedded}, {"postgres", LedgerEngine::postgres}});
  });
}

void read_kafka(YamlSection& s, KafkaConfig& out) {
  s.read("brokers", out.brokers);
  s.read("properties", out.properties);
  s.read("timeout", out.timeout);
  s.each("topics", [&](const std::string& name, YamlSection& topic) {
    topic.read("partitions", out.topics[name].partitions);
    topic.read("replication", out.topics[name].replication);
  });
}

void read_redis(YamlSection& s, RedisConfig& out) {
  s.read("url", out.url);
  s.read("cluster", out.cluster);
  s.read("timeout", out.timeout);
  s.section("sentinel", [&](YamlSection& sentinel) {
    out.sentinel.emplace();
    sentinel.read("master", out.sentinel->master);
    sentinel.read("nodes", out.sentinel->nodes);
  });
}

void read_postgres(YamlSection& s, PostgresConfig& out) {
  s.read("url", out.url);
  s.read("replicas", out.replicas);
  s.read("max_connections", out.max_connections);
  s.read("reserved_connections", out.reserved_connections);
  s.read("pool", out.pool);
  s.read("timeout", out.timeout);
}

void read_pgbouncer(YamlSection& s, std::optional<PgbouncerConfig>& out) {
  out.emplace();
  s.read("admin_url", out->admin_url);
  s.read("instances", out->instances);
  s.read("max_client_conn", out->max_client_conn);
  s.read("default_pool_size", out->default_pool_size);
  s.read("reserve_pool_size", out->reserve_pool_size);
  s.read("pools", out->pools);
  s.read("overhead", out->overhead);
}

void read_service(const std::string& name, YamlSection& s, std::map<std::string, ServiceConfig>& services) {
  ServiceConfig& out = services[name];  // a standard service keeps what is not set here
  out.name = name;
  s.read_choice<ServiceKind>("kind", out.kind,
                             {{"api", ServiceKind::api},
                              {"worker", ServiceKind::worker},
                              {"balancer", ServiceKind::balancer},
                              {"external", ServiceKind::external}});
  s.read("group", out.group);
  s.read("topic", out.topic);
  s.read("replicas", out.replicas);
  s.read("max_replicas", out.max_replicas);
  s.read("pool", out.pool);
  s.read("cpu", out.cpu);
  s.read("memory", out.memory);
  s.read("compose", out.compose);
  s.section("kubernetes", [&](YamlSection& k) {
    k.read("deployment", out.kubernetes.deployment);
    k.read("statefulset", out.kubernetes.statefulset);
    k.read("namespace", out.kubernetes.ns);
  });
}

void read_balancer(YamlSection& s, BalancerConfig& out) {
  s.read("listen", out.listen);
  s.read("admin", out.admin);
  s.read("algorithm", out.algorithm);
  s.read("upstreams", out.upstreams);
  s.read("threads", out.threads);
  s.read("admin_token", out.admin_token);
  s.read("health", out.health);
  s.read("hash", out.hash);
  s.read("sticky_cookie", out.sticky_cookie);
  s.read("routes", out.routes);
  s.read("pool_weights", out.pool_weights);
  s.read("max_head", out.max_head);
  s.read("min_body_rate", out.min_body_rate);
  s.read("max_per_client", out.max_per_client);
  s.read("max_active", out.max_active);
  s.read("queue", out.queue);
  s.read("header_timeout", out.header_timeout);
  s.read("idle_timeout", out.idle_timeout);
  s.read("connect_timeout", out.connect_timeout);
  s.read("response_timeout", out.response_timeout);
  s.read("queue_timeout", out.queue_timeout);
  s.read("upstream_idle", out.upstream_idle);
  s.read("tunnel_idle", out.tunnel_idle);
  s.read("slow_start", out.slow_start);
  s.read("drain", out.drain);
  s.read("trusted_proxies", out.trusted_proxies);
  s.read("proxy_protocol", out.proxy_protocol);
  s.read("access_log", out.access_log);
  s.read("access_log_format", out.access_log_format);
}

void read_api(YamlSection& s, ApiConfig& out) {
  s.read("rate_limit", out.rate_limit);
  s.read("rate_burst", out.rate_burst);
  s.read("max_body", out.max_body);
  s.read("tokens_file", out.tokens_file);
  s.read("drain", out.drain);
}

void read_worker(YamlSection& s, WorkerConfig& out) {
  s.read("batch", out.batch);
  s.read("reap_after", out.reap_after);
}

void read_document(YamlSection& root, Config& out) {
  read_engines(root, out.engines);
  root.read("data", out.data);
  root.section("kafka", [&](YamlSection& s) { read_kafka(s, out.kafka); });
  root.section("redis", [&](YamlSection& s) { read_redis(s, out.redis); });
  root.section("postgres", [&](YamlSection& s) { read_postgres(s, out.postgres); });
  root.section("pgbouncer", [&](YamlSection& s) { read_pgbouncer(s, out.pgbouncer); });
  root.each("services",
            [&](const std::string& name, YamlSection& s) { read_service(name, s, out.services); });
  root.section("balancer", [&](YamlSection& s) { read_balancer(s, out.balancer); });
  root.section("api", [&](YamlSection& s) { read_api(s, out.api); });
  root.section("worker", [&](YamlSection& s) { read_worker(s, out.worker); });
  root.read_choice<OrchestratorKind>("orchestrator", out.orchestrator,
                                     {{"local", OrchestratorKind::local},
                                      {"compose", OrchestratorKind::compose},
                                      {"kubernetes", OrchestratorKind::kubernetes}});
  root.section("compose", [&](YamlSection& s) {
    s.read("file", out.compose.file);
    s.read("project", out.compose.project);
  });
  root.section("kubernetes", [&](YamlSection& s) {
    s.read("context", out.kubernetes.context);
    s.read("namespace", out.kubernetes.ns);
  });
  root.section("slo", [&](YamlSection& s) {
    s.read("p95", out.slo.p95);
    s.read("p99", out.slo.p99);
    s.read_percent("error_rate", out.slo.error_rate);
  });
  if (const YAML::Node node = root.take("autoscale"); node.IsDefined() && !node.IsNull())
    out.autoscale_yaml = YAML::Dump(node);
  root.section("log", [&](YamlSection& s) {
    s.read_choice<log::Level>("level", out.log.level,
                              {{"debug", log::Level::debug},
                               {"info", log::Level::info},
                               {"warning", log::Level::warning},
                               {"error", log::Level::error},
                               {"off", log::Level::off}});
    s.read_choice<log::Format>("format", out.log.format,
                               {{"text", log::Format::text}, {"json", log::Format::json}});
  });
  root.refuse_unknown_keys();
}

}  // namespace

Config default_config() {
  Config config;
  const auto add = [&config](const char* name, ServiceKind kind, std::int64_t replicas,
                             std::int64_t pool) -> ServiceConfig& {
    ServiceConfig& service = config.services[name];
    service.name = name;
    service.kind = kind;
    service.replicas = replicas;
    service.pool = pool;
    return service;
  };
  add("api", ServiceKind::api, 3, 4);
  auto& inventory = add("worker-inventory", ServiceKind::worker, 3, 2);
  inventory.group = "inventory";
  inventory.topic = "orders";
  inventory.max_replicas = 12;
  auto& workflows = add("worker-workflows", ServiceKind::worker, 1, 2);
  workflows.group = "workflows";
  workflows.topic = "workflow.trigger";
  workflows.max_replicas = 12;
  add("balancer", ServiceKind::balancer, 1, 0).max_replicas = 1;
  return config;
}

Result<Config> parse_config(const std::string& yaml, const std::string& source_name) {
  Config config = default_config();
  config.source = source_name;
  YamlSource source{source_name};
  try {
    const YAML::Node document = YAML::Load(yaml);
    if (document.IsNull()) return config;
    YamlSection root(source, document, "");
    read_document(root, config);
  } catch (const YAML::Exception& e) {
    const std::string line = e.mark.is_null() ? "" : ":" + std::to_string(e.mark.line + 1);
    return Error{Errc::invalid_argument, source_name + line + ": not valid YAML: " + e.msg};
  }
  if (source.error) return *source.error;
  config.lines = std::move(source.lines);
  return config;
}

Result<Config> load_config(const std::optional<std::string>& file) {
  const char* from_environment = std::getenv("FLUX_CONFIG");
  std::string path = file ? *file : from_environment != nullptr ? from_environment : "";
  const bool asked_for = !path.empty();
  if (!asked_for) path = "flux.yaml";
  std::error_code ignored;
  if (!asked_for && !std::filesystem::exists(path, ignored)) return default_config();
  std::ifstream in(path);
  std::ostringstream text;
  if (in && in.peek() != std::ifstream::traits_type::eof()) text << in.rdbuf();
  // An empty file is fine; a directory opens, but does not read.
  if (!in && !(in.eof() && std::filesystem::is_regular_file(path, ignored)))
    return Error{Errc::invalid_argument, "cannot read the configuration " + path,
                 file        ? "check --config"
                 : asked_for ? "check FLUX_CONFIG"
                             : "make it readable, or name another with --config"};
  return parse_config(text.str(), path);
}

std::string Config::origin_of(const std::string& key) const {
  const auto line = lines.find(key);
  return line == lines.end() ? "now the default" : "now from " + source + ":" + std::to_string(line->second);
}

}  // namespace flux
