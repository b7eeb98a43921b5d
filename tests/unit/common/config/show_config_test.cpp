#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "common/config/config.hpp"

namespace flux {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Awkward values on purpose: what is shown must read back as the same.
constexpr const char* kEverything = R"(
engines: distributed
data: "/srv/with space: and #"
kafka:
  brokers: k:9092
  timeout: 1234567us
  properties: {sasl.password: hunter2, linger.ms: "5", ssl.key.password: hunter2}
  topics: {orders: {partitions: 24, replication: 3}, "odd: name": {partitions: 1}}
redis: {url: "redis://:hunter2@r:1", cluster: ["a:1"], sentinel: {master: m, nodes: ["s:1"]}, timeout: 90s}
postgres: {url: "postgresql://u:hunter2@h/d", replicas: ["postgresql://u:hunter2@r/d"]}
pgbouncer: {admin_url: "host=h password='hunter2 x' user=u", overhead: 7}
services:
  api: {cpu: 0.1, memory: 1000001B, kubernetes: {statefulset: s}}
  "123": {kind: external, pool: 3}
balancer: {upstreams: ["http://u:hunter2@h:1"]}
api: {rate_limit: 0.5, max_body: 1MiB, tokens_file: t.yaml, drain: 1500ms}
orchestrator: compose
slo: {p95: 90500ms, p99: 2h, error_rate: 0.07%}
autoscale: {interval: 15s, triggers: [{metric: lag, above: 1000}, {metric: cpu, above: 0.8}], webhook_token: hunter2}
log: {level: warning, format: json}
)";

TEST(ShowConfig, PrintsYamlThatLoadsAsTheSameConfiguration) {
  for (const char* yaml : {"", kEverything}) {
    const auto config = parse_config(yaml, "flux.yaml");
    ASSERT_TRUE(config) << config.error().one_line();
    const auto shown = show_config_yaml(*config);
    const auto again = parse_config(shown, "flux.yaml");
    ASSERT_TRUE(again) << again.error().one_line() << "\n" << shown;
    EXPECT_EQ(show_config_json(*again), show_config_json(*config));
    EXPECT_EQ(again->kafka.timeout, config->kafka.timeout);
    EXPECT_EQ(again->slo.p95, config->slo.p95);
    EXPECT_DOUBLE_EQ(again->slo.error_rate, config->slo.error_rate);
    EXPECT_EQ(again->services.size(), config->services.size());
    EXPECT_EQ(again->services.at("api").memory, config->services.at("api").memory);
    EXPECT_DOUBLE_EQ(again->services.at("api").cpu, config->services.at("api").cpu);
  }
}

TEST(ShowConfig, PrintsJsonWithTheSettingsOfTheServices) {
  const auto json = boost::json::parse(show_config_json(*parse_config(kEverything, "flux.yaml")));
  EXPECT_EQ(json.at("services").at("api").at("kubernetes").at("statefulset").as_string(), "s");
  EXPECT_EQ(json.at("services").at("worker-inventory").at("group").as_string(), "inventory");
  EXPECT_EQ(json.at("autoscale").at("triggers").at(0).at("above").as_int64(), 1000);
  EXPECT_DOUBLE_EQ(json.at("slo").at("error_rate").as_double(), 0.0007);
}

TEST(ShowConfig, NeverPrintsASecret) {
  const auto config = parse_config(kEverything, "flux.yaml");
  EXPECT_THAT(show_config_yaml(*config), Not(HasSubstr("hunter2")));
  EXPECT_THAT(show_config_json(*config), Not(HasSubstr("hunter2")));
}

TEST(MaskSecrets, HidesPasswordsAndNothingElse) {
  const std::pair<const char*, const char*> cases[] = {
      {"postgresql://user:secret@host/db", "postgresql://user:***@host/db"},
      {"postgresql://user@host:5432/db", "postgresql://user@host:5432/db"},
      {"postgresql://host:5432/db", "postgresql://host:5432/db"},
      {"redis://:secret@host:6379", "redis://:***@host:6379"},
      {"postgresql://user:p/a@s?s@host/db", "postgresql://user:***@host/db"},
      {"postgresql://host:1/db?password=p@ss&sslmode=require",
       "postgresql://host:1/db?password=***&sslmode=require"},
      {"postgresql://h/d?sslpassword=a&password=b", "postgresql://h/d?sslpassword=***&password=***"},
      {"host=h password=secret user=u", "host=h password=*** user=u"},
      {"host=h password = 'a \\' b' user=u", "host=h password = *** user=u"},
      {"", ""}};
  for (const auto& [url, masked] : cases) EXPECT_EQ(mask_secrets(url), masked);
}

}  // namespace
}  // namespace flux
