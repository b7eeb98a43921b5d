#pragma once
// The one configuration, typed. Loaded from flux.yaml; every key is optional and
// the defaults are the embedded stack.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/log.hpp"
#include "common/core/result.hpp"

namespace flux {

enum class EventLogEngine { embedded, kafka };
enum class StateStoreEngine { embedded, redis };
enum class LedgerEngine { embedded, postgres };

struct EnginesConfig {
  EventLogEngine event_log = EventLogEngine::embedded;
  StateStoreEngine state_store = StateStoreEngine::embedded;
  LedgerEngine ledger = LedgerEngine::embedded;
};

struct TopicConfig {
  std::int32_t partitions = 12;
  std::int32_t replication = 1;
};

struct KafkaConfig {
  std::string brokers = "127.0.0.1:9092";
  std::map<std::string, std::string> properties;  // passed to librdkafka
  std::map<std::string, TopicConfig> topics{{"orders", {}}, {"workflow.trigger", {}}};
  Duration timeout = std::chrono::seconds{5};
};

struct SentinelConfig {
  std::string master;
  std::vector<std::string> nodes;  // host:port
};

struct RedisConfig {
  std::string url = "redis://127.0.0.1:6379";
  std::vector<std::string> cluster;  // host:port; not empty: cluster mode
  std::optional<SentinelConfig> sentinel;
  Duration timeout = std::chrono::seconds{2};
};

struct PostgresConfig {
  std::string url = "postgresql://127.0.0.1:5432/postgres";
  std::vector<std::string> replicas;  // URLs, for reads
  std::int64_t max_connections = 100;
  std::int64_t reserved_connections = 3;
  std::int64_t pool = 4;  // connections of one process
  Duration timeout = std::chrono::seconds{5};
};

struct PgbouncerConfig {
  std::string admin_url;
  std::int64_t instances = 1;
  std::int64_t max_client_conn = 600;
  std::int64_t default_pool_size = 40;
  std::int64_t reserve_pool_size = 10;
  std::int64_t pools = 1;
  std::int64_t overhead = 10;
};

enum class ServiceKind { api, worker, balancer, external };

struct KubernetesTarget {
  std::string deployment;  // "" : the service's name
  std::string statefulset;
  std::string ns;  // "" : kubernetes.namespace
};

struct ServiceConfig {
  std::string name;
  ServiceKind kind = ServiceKind::external;
  std::string group;  // workers
  std::string topic;  // workers
  std::int64_t replicas = 1;
  std::int64_t max_replicas = 20;
  std::int64_t pool = 0;  // database connections of one replica
  double cpu = 1;
  std::uint64_t memory = 256ULL << 20;
  std::string compose;  // service name in the compose file; "" : the service's name
  KubernetesTarget kubernetes;
};

struct BalancerConfig {
  std::string listen = "127.0.0.1:8080";
  std::string admin = "127.0.0.1:9901";
  std::string algorithm = "least_conn";
  std::vector<std::string> upstreams;               // URL[,weight=N][,pool=NAME]
  std::int64_t threads = 0;                         // 0: one per core
  std::string admin_token;                          // needed when the admin address is not loopback
  std::string health = "/ready";                    // path of the active checks; empty: none
  std::string hash = "path";                        // what `hash` looks at: path, header:NAME, cookie:NAME
  std::string sticky_cookie;                        // its name; empty: none
  std::map<std::string, std::string> routes;        // path prefix -> POOL[+POOL]
  std::map<std::string, std::string> pool_weights;  // shares of pools that serve one route
  std::uint64_t max_head = 32 << 10;
  std::uint64_t min_body_rate = 500;  // bytes per second
  std::int64_t max_per_client = 0;    // connections of one address; 0: no cap
  std::int64_t max_active = 1024;     // requests at one upstream
  std::int64_t queue = 16384;         // requests waiting for a pool
  Duration header_timeout = std::chrono::seconds{10};
  Duration idle_timeout = std::chrono::seconds{75};
  Duration connect_timeout = std::chrono::seconds{1};
  Duration response_timeout = std::chrono::seconds{60};
  Duration queue_timeout = std::chrono::seconds{5};
  Duration upstream_idle = std::chrono::seconds{4};  // below the upstreams' own keep-alive time
  Duration tunnel_idle = std::chrono::hours{1};
  Duration slow_start = std::chrono::seconds{10};
  Duration drain = std::chrono::seconds{20};
  std::vector<std::string> trusted_proxies;  // addresses or networks whose X-Forwarded-* are believed
  bool proxy_protocol = false;               // connections begin with a PROXY header
  std::string access_log;                    // file, or "-" for stdout; empty: off
  std::string access_log_format = "json";
};

enum class OrchestratorKind { local, compose, kubernetes };

struct ComposeConfig {
  std::string file = "docker-compose.yml";
  std::string project;
};

struct KubernetesConfig {
  std::string context;
  std::string ns = "default";
};

struct SloConfig {
  Duration p95 = std::chrono::milliseconds{200};
  Duration p99 = std::chrono::milliseconds{500};
  double error_rate = 0.001;
};

struct TokenConfig {
  std::string name;
  std::string sha256;               // hex of the token's SHA-256; the token itself is stored nowhere
  std::vector<std::string> scopes;  // read, order, admin
};

struct ApiConfig {
  double rate_limit = 0;  // requests per second and client; 0: no limit
  double rate_burst = 0;  // 0: the same as rate_limit
  std::uint64_t max_body = 64 << 10;
  std::string tokens_file;  // YAML list of {name, sha256, scopes}; reloaded when it changes
  Duration drain = std::chrono::seconds{20};
};

struct WorkerConfig {
  std::int64_t batch = 5000;  // orders of one ledger transaction
  Duration reap_after =
      std::chrono::seconds{30};  // age of a reservation that nobody settled; above the log's delivery timeout
};

struct LogConfig {
  log::Level level = log::Level::info;
  log::Format format = log::Format::text;
};

struct Config {
  EnginesConfig engines;
  std::string data = "./.flux";
  KafkaConfig kafka;
  RedisConfig redis;
  PostgresConfig postgres;
  std::optional<PgbouncerConfig> pgbouncer;
  std::map<std::string, ServiceConfig> services;  // by name
  BalancerConfig balancer;
  ApiConfig api;
  WorkerConfig worker;
  OrchestratorKind orchestrator = OrchestratorKind::local;
  ComposeConfig compose;
  KubernetesConfig kubernetes;
  SloConfig slo;
  std::string autoscale_yaml;  // the section as written; parsed by the autoscaler
  LogConfig log;

  std::string source = "built-in defaults";  // where it came from
  std::map<std::string, int> lines;          // "kafka.brokers" -> line in the source

  // "now from flux.yaml:12", for hints of error messages.
  std::string origin_of(const std::string& key) const;
};

// Built-in defaults with the standard services.
Config default_config();

// `--config FILE`, else $FLUX_CONFIG, else ./flux.yaml when it is there, else the
// defaults. Errors name file and line: "flux.yaml:12: unknown key …".
Result<Config> load_config(const std::optional<std::string>& file);
Result<Config> parse_config(const std::string& yaml, const std::string& source_name);

// The list in `api.tokens_file`.
Result<std::vector<TokenConfig>> load_tokens(const std::string& file);

// The effective configuration as YAML or JSON, passwords masked.
std::string show_config_yaml(const Config& config);
std::string show_config_json(const Config& config);

// "postgresql://user:secret@host/db" -> "postgresql://user:***@host/db"
std::string mask_secrets(const std::string& url);

std::string_view to_string(EventLogEngine engine);
std::string_view to_string(StateStoreEngine engine);
std::string_view to_string(LedgerEngine engine);
std::string_view to_string(ServiceKind kind);
std::string_view to_string(OrchestratorKind kind);

}  // namespace flux
