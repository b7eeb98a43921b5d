#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/config/config.hpp"
#include "common/config/yaml_section.hpp"

namespace flux {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string error_of(const std::string& yaml) {
  const auto config = parse_config(yaml, "flux.yaml");
  return config ? "no error" : config.error().one_line();
}

TEST(Config, DefaultsAreTheEmbeddedStack) {
  const auto config = parse_config("", "flux.yaml");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->engines.event_log, EventLogEngine::embedded);
  EXPECT_EQ(config->data, "./.flux");
  EXPECT_EQ(config->services.at("api").replicas, 3);
  EXPECT_EQ(config->origin_of("kafka.brokers"), "now the default");
}

// Every key of the contract's appendix.
TEST(Config, ReadsEveryKeyOfTheContract) {
  const auto parsed = parse_config(R"(
engines: {event_log: kafka, state_store: redis, ledger: postgres}
data: /srv/flux
kafka:
  brokers: k1:9092,k2:9092
  properties: {security.protocol: plaintext}
  topics: {orders: {partitions: 24, replication: 3}, workflow.trigger: {partitions: 6}}
redis: {url: "redis://r:1", cluster: ["a:1", "b:2"], sentinel: {master: m, nodes: ["s:1", "s:2"]}}
postgres: {url: "postgresql://h/d", replicas: ["postgresql://r/d"], max_connections: 200, reserved_connections: 5}
pgbouncer: {admin_url: "postgresql://b/pgbouncer", instances: 2, max_client_conn: 1k, default_pool_size: 20, reserve_pool_size: 5, pools: 3, overhead: 7}
services:
  api: {kind: api, replicas: 5, max_replicas: 30, pool: 50, cpu: 1.5, memory: 512MiB}
  worker-inventory: {kind: worker, group: g, topic: t, replicas: 4, pool: 10}
  their-service: {kind: external, replicas: 3, pool: 100, compose: their_service, kubernetes: {deployment: d, namespace: shop}}
balancer: {listen: ":80", admin: "127.0.0.1:1", algorithm: p2c, upstreams: ["http://127.0.0.1:8001"]}
orchestrator: kubernetes
compose: {file: c.yml, project: shop}
kubernetes: {context: ctx, namespace: ns}
slo: {p95: 150ms, p99: 1s, error_rate: 0.5%}
autoscale: {interval: 15s}
log: {level: debug, format: json}
)",
                                   "flux.yaml");
  ASSERT_TRUE(parsed) << parsed.error().one_line();
  const Config& c = *parsed;
  EXPECT_EQ(c.engines.event_log, EventLogEngine::kafka);
  EXPECT_EQ(c.engines.state_store, StateStoreEngine::redis);
  EXPECT_EQ(c.engines.ledger, LedgerEngine::postgres);
  EXPECT_EQ(c.data, "/srv/flux");
  EXPECT_EQ(c.kafka.brokers, "k1:9092,k2:9092");
  EXPECT_EQ(c.kafka.properties.at("security.protocol"), "plaintext");
  EXPECT_EQ(c.kafka.topics.at("orders").partitions, 24);
  EXPECT_EQ(c.kafka.topics.at("orders").replication, 3);
  EXPECT_EQ(c.kafka.topics.at("workflow.trigger").partitions, 6);
  EXPECT_EQ(c.redis.url, "redis://r:1");
  EXPECT_THAT(c.redis.cluster, ElementsAre("a:1", "b:2"));
  EXPECT_EQ(c.redis.sentinel->master, "m");
  EXPECT_THAT(c.redis.sentinel->nodes, ElementsAre("s:1", "s:2"));
  EXPECT_EQ(c.postgres.url, "postgresql://h/d");
  EXPECT_THAT(c.postgres.replicas, ElementsAre("postgresql://r/d"));
  EXPECT_EQ(c.postgres.max_connections, 200);
  EXPECT_EQ(c.postgres.reserved_connections, 5);
  EXPECT_EQ(c.pgbouncer->admin_url, "postgresql://b/pgbouncer");
  EXPECT_EQ(c.pgbouncer->instances, 2);
  EXPECT_EQ(c.pgbouncer->max_client_conn, 1000);
  EXPECT_EQ(c.pgbouncer->default_pool_size, 20);
  EXPECT_EQ(c.pgbouncer->reserve_pool_size, 5);
  EXPECT_EQ(c.pgbouncer->pools, 3);
  EXPECT_EQ(c.pgbouncer->overhead, 7);
  const ServiceConfig& api = c.services.at("api");
  EXPECT_EQ(api.kind, ServiceKind::api);
  EXPECT_EQ(api.replicas, 5);
  EXPECT_EQ(api.max_replicas, 30);
  EXPECT_EQ(api.pool, 50);
  EXPECT_DOUBLE_EQ(api.cpu, 1.5);
  EXPECT_EQ(api.memory, 512ULL << 20);
  EXPECT_EQ(c.services.at("worker-inventory").group, "g");
  EXPECT_EQ(c.services.at("worker-inventory").topic, "t");
  const ServiceConfig& theirs = c.services.at("their-service");
  EXPECT_EQ(theirs.kind, ServiceKind::external);
  EXPECT_EQ(theirs.compose, "their_service");
  EXPECT_EQ(theirs.kubernetes.deployment, "d");
  EXPECT_EQ(theirs.kubernetes.ns, "shop");
  EXPECT_EQ(c.balancer.listen, ":80");
  EXPECT_EQ(c.balancer.admin, "127.0.0.1:1");
  EXPECT_EQ(c.balancer.algorithm, "p2c");
  EXPECT_THAT(c.balancer.upstreams, ElementsAre("http://127.0.0.1:8001"));
  EXPECT_EQ(c.orchestrator, OrchestratorKind::kubernetes);
  EXPECT_EQ(c.compose.file, "c.yml");
  EXPECT_EQ(c.compose.project, "shop");
  EXPECT_EQ(c.kubernetes.context, "ctx");
  EXPECT_EQ(c.kubernetes.ns, "ns");
  EXPECT_EQ(c.slo.p95, 150ms);
  EXPECT_EQ(c.slo.p99, 1s);
  EXPECT_DOUBLE_EQ(c.slo.error_rate, 0.005);
  EXPECT_THAT(c.autoscale_yaml, HasSubstr("interval: 15s"));
  EXPECT_EQ(c.log.level, log::Level::debug);
  EXPECT_EQ(c.log.format, log::Format::json);
}

TEST(Config, OneWordChoosesTheEngineSet) {
  EXPECT_EQ(parse_config("engines: distributed", "f")->engines.ledger, LedgerEngine::postgres);
  EXPECT_EQ(parse_config("engines: embedded", "f")->engines.ledger, LedgerEngine::embedded);
  EXPECT_THAT(error_of("engines: both"), AllOf(HasSubstr("flux.yaml:1"), HasSubstr("embedded, distributed")));
}

TEST(Config, AStandardServiceKeepsWhatIsNotSet) {
  const auto config = parse_config("services: {worker-inventory: {replicas: 7}}", "f");
  EXPECT_EQ(config->services.at("worker-inventory").replicas, 7);
  EXPECT_EQ(config->services.at("worker-inventory").group, "inventory");
}

TEST(Config, KnowsTheLineEachValueCameFrom) {
  const auto config = parse_config("data: x\nkafka:\n  timeout: 1s\n  brokers: b:1\n", "flux.yaml");
  EXPECT_EQ(config->origin_of("kafka.brokers"), "now from flux.yaml:4");
  EXPECT_EQ(config->origin_of("data"), "now from flux.yaml:1");
  EXPECT_EQ(config->origin_of("redis.url"), "now the default");
}

struct Mistake {
  const char* yaml;
  const char* where;
  const char* what;
};

TEST(Config, NamesLineAndNearestKeyOfAnUnknownKey) {
  const Mistake mistakes[] = {
      {"kafka:\n  borkers: x\n", "flux.yaml:2: ", "unknown key 'kafka.borkers'; did you mean 'brokers'?"},
      {"\n\nlogg: {level: info}\n", "flux.yaml:3: ", "did you mean 'log'?"},
      {"services:\n  api:\n    replica: 3\n", "flux.yaml:3: ", "did you mean 'replicas'?"},
      {"services:\n  api:\n    kubernetes: {deploymnt: d}\n", "flux.yaml:3: ", "did you mean 'deployment'?"},
      {"slo: {zzzzzzzzzzz: 1}\n", "flux.yaml:1: ", "known here: error_rate, p95, p99"},
      {"kafka:\n  topics:\n    orders: {partition: 3}\n", "flux.yaml:3: ", "did you mean 'partitions'?"}};
  for (const auto& [yaml, where, what] : mistakes)
    EXPECT_THAT(error_of(yaml), AllOf(StartsWith(where), HasSubstr(what))) << yaml;
}

TEST(Config, NamesLineAndRemedyOfABadValue) {
  const Mistake mistakes[] = {
      {"data: [a]\n", "flux.yaml:1: ", "data must be a single value"},
      {"kafka: 5\n", "flux.yaml:1: ", "kafka must be a mapping"},
      {"a\n", "flux.yaml:1: ", "the file must be a mapping"},
      {"kafka:\n  timeout: 5\n", "flux.yaml:2: ", "write it like 500ms"},
      {"postgres:\n  max_connections: many\n", "flux.yaml:2: ", "not a count: 'many'"},
      {"postgres:\n  pool: 1.5\n", "flux.yaml:2: ", "not a count: '1.5'"},
      {"postgres:\n  pool: -1\n", "flux.yaml:2: ", "not a count: '-1'"},
      {"kafka: {topics: {orders: {partitions: 3G}}}\n", "flux.yaml:1: ", "too large"},
      {"services: {api: {memory: 1QB}}\n", "flux.yaml:1: ", "not a size"},
      {"services: {api: {cpu: inf}}\n", "flux.yaml:1: ", "must be a number"},
      {"services: {api: {kind: daemon}}\n", "flux.yaml:1: ", "use one of api, worker, balancer, external"},
      {"slo: {error_rate: few}\n", "flux.yaml:1: ", "not a percentage"},
      {"log: {level: loud}\n", "flux.yaml:1: ", "use one of debug, info"},
      {"orchestrator: nomad\n", "flux.yaml:1: ", "use one of local, compose, kubernetes"},
      {"data: x\nkafka: {}\ndata: y\n", "flux.yaml:3: ", "key 'data' is there twice"},
      {"kafka:\n\t- x\n", "flux.yaml:2: ", "not valid YAML"},
      {"kafka: {brokers: x\n", "flux.yaml:", "not valid YAML"}};
  for (const auto& [yaml, where, what] : mistakes)
    EXPECT_THAT(error_of(yaml), AllOf(StartsWith(where), HasSubstr(what))) << yaml;
}

TEST(Interpolation, ReadsTheEnvironmentAndDefaults) {
  setenv("FLUX_TEST_SET", "value", 1);
  setenv("FLUX_TEST_EMPTY", "", 1);
  unsetenv("FLUX_TEST_UNSET");
  const std::pair<const char*, const char*> cases[] = {
      {"plain", "plain"},
      {"${FLUX_TEST_SET}", "value"},
      {"a-${FLUX_TEST_SET}-${FLUX_TEST_SET}", "a-value-value"},
      {"${FLUX_TEST_UNSET:-other}", "other"},
      {"${FLUX_TEST_EMPTY:-other}", "other"},
      {"${FLUX_TEST_EMPTY}", ""},
      {"${FLUX_TEST_UNSET:-}", ""},
      {"${FLUX_TEST_UNSET:-redis://h:1}", "redis://h:1"},
      {"$HOME", "$HOME"}};
  for (const auto& [text, value] : cases) {
    const auto result = interpolate_environment(text);
    ASSERT_TRUE(result) << text;
    EXPECT_EQ(*result, value) << text;
  }
  for (const char* text :
       {"${FLUX_TEST_UNSET}", "${FLUX_TEST_SET", "${}", "${:-x}", "${FLUX_TEST_UNSET:-${FLUX_TEST_SET}}"})
    EXPECT_FALSE(interpolate_environment(text)) << text;
  EXPECT_THAT(error_of("data: x\nredis:\n  url: ${FLUX_TEST_UNSET}\n"),
              AllOf(StartsWith("flux.yaml:3: redis.url: "), HasSubstr("FLUX_TEST_UNSET is not set"),
                    HasSubstr("${FLUX_TEST_UNSET:-default}")));
}

TEST(Interpolation, WorksInNumbersChoicesAndLists) {
  setenv("FLUX_TEST_LIST", "a:1, b:2,c:3", 1);
  setenv("FLUX_TEST_COUNT", "9", 1);
  const auto config = parse_config(
      "redis: {cluster: \"${FLUX_TEST_LIST}\"}\npostgres: {pool: \"${FLUX_TEST_COUNT}\"}\n"
      "log: {level: \"${FLUX_TEST_UNSET:-error}\"}\n",
      "f");
  ASSERT_TRUE(config) << config.error().one_line();
  EXPECT_THAT(config->redis.cluster, ElementsAre("a:1", "b:2", "c:3"));
  EXPECT_EQ(config->postgres.pool, 9);
  EXPECT_EQ(config->log.level, log::Level::error);
}

class LoadConfig : public ::testing::Test {
 protected:
  LoadConfig() {
    std::string name = std::filesystem::temp_directory_path() / "flux-config-XXXXXX";
    directory_ = mkdtemp(name.data());
    before_ = std::filesystem::current_path();
    std::filesystem::current_path(directory_);
    unsetenv("FLUX_CONFIG");
  }
  ~LoadConfig() override {
    unsetenv("FLUX_CONFIG");
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(directory_);
  }
  static void write(const std::string& name, const std::string& text) { std::ofstream(name) << text; }

  std::filesystem::path directory_, before_;
};

TEST_F(LoadConfig, PrefersTheFlagThenTheEnvironmentThenTheWorkingDirectory) {
  EXPECT_EQ(load_config(std::nullopt)->source, "built-in defaults");
  write("flux.yaml", "data: here\n");
  EXPECT_EQ(load_config(std::nullopt)->data, "here");
  write("env.yaml", "data: env\n");
  setenv("FLUX_CONFIG", "env.yaml", 1);
  EXPECT_EQ(load_config(std::nullopt)->data, "env");
  write("flag.yaml", "data: flag\n");
  EXPECT_EQ(load_config("flag.yaml")->data, "flag");
}

TEST_F(LoadConfig, RefusesAFileThatCannotBeRead) {
  EXPECT_THAT(load_config("absent.yaml").error().one_line(),
              AllOf(HasSubstr("absent.yaml"), HasSubstr("check --config")));
  std::filesystem::create_directory("directory.yaml");
  EXPECT_FALSE(load_config("directory.yaml"));
  std::filesystem::create_directory("flux.yaml");
  EXPECT_FALSE(load_config(std::nullopt)) << "a file that is there is never passed over in silence";
}

TEST_F(LoadConfig, TakesAnEmptyFileAsDefaults) {
  write("empty.yaml", "");
  EXPECT_TRUE(load_config("empty.yaml"));
}

}  // namespace
}  // namespace flux
