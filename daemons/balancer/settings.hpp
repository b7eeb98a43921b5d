#pragma once
// Everything the balancer was told, checked and in its own types.

#include <cstdint>
#include <string>
#include <vector>

#include "common/config/config.hpp"
#include "daemons/balancer/choose_upstream.hpp"
#include "daemons/balancer/head_scan.hpp"
#include "daemons/balancer/load_policies.hpp"
#include "daemons/balancer/outlier_ejection.hpp"
#include "daemons/balancer/probe_history.hpp"
#include "daemons/balancer/run_balancer.hpp"
#include "daemons/balancer/sockets.hpp"
#include "daemons/balancer/trusted_proxies.hpp"
#include "daemons/balancer/upstream.hpp"

namespace flux::balancer {

enum class HashBy : std::uint8_t { path, header, cookie };
enum class AccessLogFormat : std::uint8_t { off, json, combined };

struct ClientLimits {
  HeadLimits head;
  std::int64_t header_timeout_ms = 10'000;  // from a head's first byte to its last
  std::int64_t idle_timeout_ms = 75'000;    // between requests
  std::int64_t body_grace_ms = 5'000;       // before the rate counts
  std::int64_t body_rate = 500;             // least bytes per second, either way
  std::int64_t linger_ms = 2'000;
  std::uint32_t per_address = 0;  // connections of one client address; 0: no cap
};

struct UpstreamLimits {
  std::int64_t connect_timeout_ms = 1'000;
  std::int64_t response_timeout_ms = 60'000;  // without a byte from it
  std::int64_t idle_timeout_ms = 4'000;       // below the 5 s many servers keep a connection
  std::int64_t tunnel_idle_ms = 3'600'000;
  std::int64_t queue_timeout_ms = 5'000;
  std::uint32_t active = 1'024;  // requests at one upstream
  std::uint32_t queue = 16'384;  // requests waiting for a pool
};

struct Settings {
  SocketAddress listen;
  SocketAddress admin;
  std::string admin_token;
  unsigned threads = 1;
  Algorithm algorithm = Algorithm::least_conn;
  HashBy hash_by = HashBy::path;
  std::string hash_name;        // of the header or cookie
  std::string sticky_cookie;    // "": none
  TrustedProxies trusted;       // whose X-Forwarded-* and Forwarded are believed
  bool proxy_protocol = false;  // connections begin with a PROXY header
  ClientLimits client;
  UpstreamLimits upstream;
  EjectionPolicy ejection;
  ProbePolicy probe;
  std::string probe_path = "/ready";  // "": no active checks
  Duration slow_start = std::chrono::seconds{10};
  RetryBudget retry;
  Duration drain = std::chrono::seconds{20};
  AccessLogFormat access_log = AccessLogFormat::off;
  std::string access_log_file;
  std::vector<UpstreamSpec> upstreams;
  std::map<std::string, std::uint32_t> pool_weights;
  std::vector<Route> routes;
  std::string upstreams_file;
  std::string address_file;
};

Result<Settings> make_settings(const Config& config, const BalancerOptions& options);

}  // namespace flux::balancer
