#include "daemons/balancer/settings.hpp"

#include <algorithm>
#include <thread>

namespace flux::balancer {
namespace {

std::int64_t ms(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

Error bad_key(const Config& config, const std::string& key, const std::string& what) {
  return {Errc::invalid_argument, "balancer." + key + ": " + what,
          "correct it (" + config.origin_of("balancer." + key) + ")"};
}

Result<> read_hash(const Config& config, Settings& out) {
  const std::string& text = config.balancer.hash;
  const auto colon = text.find(':');
  const std::string by = text.substr(0, colon);
  out.hash_name = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (by == "path" && out.hash_name.empty()) return out.hash_by = HashBy::path, Result<>{};
  if (by == "header" && is_token(out.hash_name)) return out.hash_by = HashBy::header, Result<>{};
  if (by == "cookie" && is_token(out.hash_name)) return out.hash_by = HashBy::cookie, Result<>{};
  return bad_key(config, "hash", "'" + text + "' is not path, header:NAME or cookie:NAME");
}

Result<> read_access_log(const Config& config, Settings& out) {
  const std::string& text = config.balancer.access_log_format;
  if (text == "json")
    out.access_log = AccessLogFormat::json;
  else if (text == "combined")
    out.access_log = AccessLogFormat::combined;
  else
    return bad_key(config, "access_log_format", "'" + text + "' is not json or combined");
  out.access_log_file = config.balancer.access_log;
  if (out.access_log_file.empty()) out.access_log = AccessLogFormat::off;
  return {};
}

Result<> read_routes(const Config& config, Settings& out) {
  std::vector<std::string> routed;
  for (const auto& [prefix, pools] : config.balancer.routes) {
    if (!prefix.starts_with('/')) return bad_key(config, "routes", "'" + prefix + "' does not begin with /");
    Route route{prefix, {}};
    std::string_view rest = pools;
    while (!rest.empty()) {
      const auto plus = rest.find('+');
      route.pools.emplace_back(rest.substr(0, plus));
      routed.push_back(route.pools.back());
      if (!is_token(route.pools.back()))
        return bad_key(config, "routes", "'" + pools + "' is not POOL[+POOL]…");
      rest.remove_prefix(plus == std::string_view::npos ? rest.size() : plus + 1);
    }
    if (route.pools.empty()) return bad_key(config, "routes", "'" + prefix + "' names no pool");
    out.routes.push_back(std::move(route));
  }
  std::sort(out.routes.begin(), out.routes.end(),
            [](const Route& a, const Route& b) { return a.prefix.size() > b.prefix.size(); });
  for (const auto& [name, weight] : config.balancer.pool_weights) {
    const auto parsed = parse_upstream("http://pool,weight=" + weight);
    if (!parsed) return bad_key(config, "pool_weights." + name, "must be 0 to 10000");
    out.pool_weights[name] = parsed->weight;
  }
  return {};
}

}  // namespace

Result<Settings> make_settings(const Config& config, const BalancerOptions& options) {
  const BalancerConfig& from = config.balancer;
  Settings out;
  const auto listen = resolve_address(options.listen.value_or(from.listen));
  if (!listen) return Error{Errc::invalid_argument, "--listen: " + listen.error().message, "write HOST:PORT"};
  out.listen = *listen;
  const auto admin = resolve_address(options.admin.value_or(from.admin));
  if (!admin) return Error{Errc::invalid_argument, "--admin: " + admin.error().message, "write HOST:PORT"};
  out.admin = *admin;
  out.admin_token = from.admin_token;
  if (!out.admin.is_loopback() && out.admin_token.empty())
    return Error{Errc::invalid_argument, "the admin address " + out.admin.host_port() + " is not loopback",
                 "bind it to 127.0.0.1, or set balancer.admin_token"};
  const auto algorithm = parse_algorithm(options.algorithm.value_or(from.algorithm));
  if (!algorithm) return algorithm.error();
  out.algorithm = *algorithm;
  const auto threads = options.threads.value_or(static_cast<unsigned>(from.threads));
  out.threads = threads != 0 ? threads : std::max(1U, std::thread::hardware_concurrency());
  if (out.threads > 256) return Error{Errc::invalid_argument, "--threads must be 1 to 256", ""};
  for (const std::string& text : options.upstreams.empty() ? from.upstreams : options.upstreams) {
    auto spec = parse_upstream(text);
    if (!spec) return spec.error();
    out.upstreams.push_back(std::move(*spec));
  }
  if (const auto read = read_hash(config, out); !read) return read.error();
  if (const auto read = read_access_log(config, out); !read) return read.error();
  if (const auto read = read_routes(config, out); !read) return read.error();
  out.sticky_cookie = from.sticky_cookie;
  if (!out.sticky_cookie.empty() && !is_token(out.sticky_cookie))
    return bad_key(config, "sticky_cookie", "'" + out.sticky_cookie + "' is not a cookie name");
  for (const std::string& network : from.trusted_proxies)
    if (const auto added = out.trusted.add(network); !added)
      return bad_key(config, "trusted_proxies", added.error().message);
  out.proxy_protocol = from.proxy_protocol;
  out.client.head.bytes = from.max_head;
  out.client.head.fields = 100;
  if (from.max_head < 256 || from.max_head > (60 << 10))
    return bad_key(config, "max_head", "must be 256B to 60KiB");
  out.client.header_timeout_ms = ms(from.header_timeout);
  out.client.idle_timeout_ms = ms(from.idle_timeout);
  out.client.body_rate = static_cast<std::int64_t>(from.min_body_rate);
  out.client.per_address = static_cast<std::uint32_t>(from.max_per_client);
  out.upstream.connect_timeout_ms = ms(from.connect_timeout);
  out.upstream.response_timeout_ms = ms(from.response_timeout);
  out.upstream.idle_timeout_ms = ms(from.upstream_idle);
  out.upstream.tunnel_idle_ms = ms(from.tunnel_idle);
  out.upstream.queue_timeout_ms = ms(from.queue_timeout);
  out.upstream.active = static_cast<std::uint32_t>(from.max_active);
  out.upstream.queue = static_cast<std::uint32_t>(from.queue);
  out.probe_path = from.health;
  if (!out.probe_path.empty() && !out.probe_path.starts_with('/'))
    return bad_key(config, "health", "must be a path, or empty for no active checks");
  out.slow_start = from.slow_start;
  out.drain = from.drain;
  out.upstreams_file = options.upstreams_file;
  out.address_file = options.address_file;
  return out;
}

}  // namespace flux::balancer
