#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>

#include "common/config/config.hpp"

namespace flux {
namespace json = boost::json;
namespace {

bool is_secret_name(const std::string& name) {
  for (const char* part : {"password", "secret", "token", "key.pem", "keystore"})
    if (name.find(part) != std::string::npos) return true;
  return false;
}

json::array masked(const std::vector<std::string>& urls) {
  json::array out;
  for (const std::string& url : urls) out.emplace_back(mask_secrets(url));
  return out;
}

json::array strings(const std::vector<std::string>& values) {
  return json::array(values.begin(), values.end());
}

// Exactly, so that what is shown reads back as the same value.
std::string exact_duration(Duration d) {
  struct Unit {
    std::int64_t ns;
    const char* name;
  };
  constexpr std::array<Unit, 5> kUnits{
      {{3600000000000, "h"}, {60000000000, "m"}, {1000000000, "s"}, {1000000, "ms"}, {1000, "us"}}};
  if (d == Duration::zero()) return "0s";
  for (const Unit& unit : kUnits)
    if (d.count() % unit.ns == 0) return std::to_string(d.count() / unit.ns) + unit.name;
  return std::to_string(d.count()) + "ns";
}

json::value to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    json::object out;
    for (const auto& entry : node)
      out[entry.first.Scalar()] =
          is_secret_name(entry.first.Scalar()) ? json::value("***") : to_json(entry.second);
    return out;
  }
  if (node.IsSequence()) {
    json::array out;
    for (const auto& item : node) out.push_back(to_json(item));
    return out;
  }
  if (!node.IsScalar()) return nullptr;
  const std::string& text = node.Scalar();
  const bool quoted = node.Tag() == "!";
  if (!quoted && (text == "true" || text == "false")) return text == "true";
  double number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (quoted || text.empty() || ec != std::errc{} || end != text.data() + text.size())
    return json::string(text);
  std::int64_t whole = 0;
  const auto [whole_end, whole_ec] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (whole_ec == std::errc{} && whole_end == text.data() + text.size()) return whole;
  return number;
}

json::value to_json(const Config& c) {
  json::object properties;
  for (const auto& [name, value] : c.kafka.properties)
    properties[name] = is_secret_name(name) ? "***" : value;
  json::object topics;
  for (const auto& [name, t] : c.kafka.topics)
    topics[name] = {{"partitions", t.partitions}, {"replication", t.replication}};
  json::object redis{{"url", mask_secrets(c.redis.url)}, {"timeout", exact_duration(c.redis.timeout)}};
  if (!c.redis.cluster.empty()) redis["cluster"] = strings(c.redis.cluster);
  if (c.redis.sentinel)
    redis["sentinel"] = {{"master", c.redis.sentinel->master}, {"nodes", strings(c.redis.sentinel->nodes)}};
  json::object services;
  for (const auto& [name, s] : c.services) {
    json::object service{{"kind", to_string(s.kind)},
                         {"replicas", s.replicas},
                         {"max_replicas", s.max_replicas},
                         {"pool", s.pool},
                         {"cpu", s.cpu},
                         {"memory", std::to_string(s.memory) + "B"}};
    if (!s.group.empty()) service["group"] = s.group;
    if (!s.topic.empty()) service["topic"] = s.topic;
    if (!s.compose.empty()) service["compose"] = s.compose;
    json::object k;
    if (!s.kubernetes.deployment.empty()) k["deployment"] = s.kubernetes.deployment;
    if (!s.kubernetes.statefulset.empty()) k["statefulset"] = s.kubernetes.statefulset;
    if (!s.kubernetes.ns.empty()) k["namespace"] = s.kubernetes.ns;
    if (!k.empty()) service["kubernetes"] = k;
    services[name] = service;
  }
  json::object out{
      {"engines",
       {{"event_log", to_string(c.engines.event_log)},
        {"state_store", to_string(c.engines.state_store)},
        {"ledger", to_string(c.engines.ledger)}}},
      {"data", c.data},
      {"kafka",
       {{"brokers", c.kafka.brokers},
        {"properties", properties},
        {"topics", topics},
        {"timeout", exact_duration(c.kafka.timeout)}}},
      {"redis", redis},
      {"postgres",
       {{"url", mask_secrets(c.postgres.url)},
        {"replicas", masked(c.postgres.replicas)},
        {"max_connections", c.postgres.max_connections},
        {"reserved_connections", c.postgres.reserved_connections},
        {"pool", c.postgres.pool},
        {"timeout", exact_duration(c.postgres.timeout)}}},
      {"services", services},
      {"balancer",
       {{"listen", c.balancer.listen},
        {"admin", c.balancer.admin},
        {"algorithm", c.balancer.algorithm},
        {"upstreams", masked(c.balancer.upstreams)},
        {"threads", c.balancer.threads},
        {"admin_token", c.balancer.admin_token.empty() ? "" : "***"},
        {"health", c.balancer.health},
        {"hash", c.balancer.hash},
        {"sticky_cookie", c.balancer.sticky_cookie},
        {"routes", json::value_from(c.balancer.routes)},
        {"pool_weights", json::value_from(c.balancer.pool_weights)},
        {"max_head", std::to_string(c.balancer.max_head) + "B"},
        {"min_body_rate", std::to_string(c.balancer.min_body_rate) + "B"},
        {"max_per_client", c.balancer.max_per_client},
        {"max_active", c.balancer.max_active},
        {"queue", c.balancer.queue},
        {"header_timeout", exact_duration(c.balancer.header_timeout)},
        {"idle_timeout", exact_duration(c.balancer.idle_timeout)},
        {"connect_timeout", exact_duration(c.balancer.connect_timeout)},
        {"response_timeout", exact_duration(c.balancer.response_timeout)},
        {"queue_timeout", exact_duration(c.balancer.queue_timeout)},
        {"upstream_idle", exact_duration(c.balancer.upstream_idle)},
        {"tunnel_idle", exact_duration(c.balancer.tunnel_idle)},
        {"slow_start", exact_duration(c.balancer.slow_start)},
        {"drain", exact_duration(c.balancer.drain)},
        {"trusted_proxies", strings(c.balancer.trusted_proxies)},
        {"proxy_protocol", c.balancer.proxy_protocol},
        {"access_log", c.balancer.access_log},
        {"access_log_format", c.balancer.access_log_format}}},
      {"api",
       {{"rate_limit", c.api.rate_limit},
        {"rate_burst", c.api.rate_burst},
        {"max_body", std::to_string(c.api.max_body) + "B"},
        {"tokens_file", c.api.tokens_file},
        {"drain", exact_duration(c.api.drain)}}},
      {"worker", {{"batch", c.worker.batch}, {"reap_after", exact_duration(c.worker.reap_after)}}},
      {"orchestrator", to_string(c.orchestrator)},
      {"compose", {{"file", c.compose.file}, {"project", c.compose.project}}},
      {"kubernetes", {{"context", c.kubernetes.context}, {"namespace", c.kubernetes.ns}}},
      {"slo",
       {{"p95", exact_duration(c.slo.p95)},
        {"p99", exact_duration(c.slo.p99)},
        {"error_rate", c.slo.error_rate}}},
      {"log",
       {{"level", c.log.level == log::Level::debug     ? "debug"
                  : c.log.level == log::Level::info    ? "info"
                  : c.log.level == log::Level::warning ? "warning"
                  : c.log.level == log::Level::error   ? "error"
                                                       : "off"},
        {"format", c.log.format == log::Format::text ? "text" : "json"}}}};
  if (c.pgbouncer)
    out["pgbouncer"] = {{"admin_url", mask_secrets(c.pgbouncer->admin_url)},
                        {"instances", c.pgbouncer->instances},
                        {"max_client_conn", c.pgbouncer->max_client_conn},
                        {"default_pool_size", c.pgbouncer->default_pool_size},
                        {"reserve_pool_size", c.pgbouncer->reserve_pool_size},
                        {"pools", c.pgbouncer->pools},
                        {"overhead", c.pgbouncer->overhead}};
  if (!c.autoscale_yaml.empty()) out["autoscale"] = to_json(YAML::Load(c.autoscale_yaml));
  return out;
}

// A name that people chose may be anything; JSON's quoting is valid YAML.
std::string yaml_key(std::string_view key) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const bool plain = !key.empty() && letter(key[0]) && std::all_of(key.begin(), key.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
  return plain ? std::string(key) : json::serialize(json::value(key));
}

// JSON is YAML's flow form, but people want to paste block form back into a file.
void write_yaml(const json::value& value, int depth, std::string& out) {
  const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
  for (const auto& [key, v] : value.get_object()) {
    out += indent + yaml_key(key) + ":";
    if (v.is_object() && !v.get_object().empty()) {
      out += '\n';
      write_yaml(v, depth + 1, out);
    } else if (v.is_double()) {
      char digits[400];
      const auto end =
          std::to_chars(digits, digits + sizeof digits, v.get_double(), std::chars_format::fixed).ptr;
      out += ' ' + std::string(digits, end) + '\n';
    } else {
      out += ' ' + json::serialize(v) + '\n';
    }
  }
}

}  // namespace

std::string mask_secrets(const std::string& url) {
  std::string out = url;
  // "password=…" of a query or of "key=value" connection words, the value quoted or not.
  for (std::size_t at = out.find("password"); at != std::string::npos; at = out.find("password", at + 1)) {
    const auto equals = out.find_first_not_of(' ', at + std::string_view("password").size());
    if (equals == std::string::npos || out[equals] != '=') continue;
    const auto start = out.find_first_not_of(' ', equals + 1);
    if (start == std::string::npos) break;
    auto end = start + 1;
    if (out[start] == '\'') {
      while (end < out.size() && out[end] != '\'') end += out[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, out.size());
    } else {
      end = std::min(out.find_first_of("& ", start), out.size());
    }
    out.replace(start, end - start, "***");
  }
  // "user:password@": up to the last @, for a password may hold any character.
  const auto scheme = out.find("://");
  if (scheme == std::string::npos) return out;
  const auto at = out.rfind('@');
  const auto colon = out.find(':', scheme + 3);
  if (at != std::string::npos && colon < at) out.replace(colon + 1, at - colon - 1, "***");
  return out;
}

std::string show_config_json(const Config& config) {
  return json::serialize(to_json(config));
}

std::string show_config_yaml(const Config& config) {
  std::string out = "# " + config.source + "\n";
  write_yaml(to_json(config), 0, out);
  return out;
}

std::string_view to_string(EventLogEngine engine) {
  return engine == EventLogEngine::kafka ? "kafka" : "embedded";
}
std::string_view to_string(StateStoreEngine engine) {
  return engine == StateStoreEngine::redis ? "redis" : "embedded";
}
std::string_view to_string(LedgerEngine engine) {
  return engine == LedgerEngine::postgres ? "postgres" : "embedded";
}

std::string_view to_string(ServiceKind kind) {
  switch (kind) {
    case ServiceKind::api: return "api";
    case ServiceKind::worker: return "worker";
    case ServiceKind::balancer: return "balancer";
    case ServiceKind::external: return "external";
  }
  return "external";
}

std::string_view to_string(OrchestratorKind kind) {
  switch (kind) {
    case OrchestratorKind::local: return "local";
    case OrchestratorKind::compose: return "compose";
    case OrchestratorKind::kubernetes: return "kubernetes";
  }
  return "local";
}

}  // namespace flux
