#pragma once
// The state store on Redis: one server, a master found through Sentinel, or
// Redis Cluster. Redis 6 or later, with `maxmemory-policy noeviction`.

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/ports/state_store.hpp"

namespace flux::redis {

struct RedisOptions {
  // redis://[user[:password]@]host[:port][/db]; for Cluster and Sentinel only
  // user, password and (Sentinel) db count.
  std::string url = "redis://127.0.0.1:6379";
  std::vector<std::string> cluster{};  // host:port; not empty: cluster mode
  std::string sentinel_master{};       // not empty: sentinel mode
  std::vector<std::string> sentinels{};
  Duration timeout = std::chrono::seconds{2};  // of one call
  std::string prefix{};                        // before every key, without braces
};

// Connects in the background: an absent server shows in the calls. Connections
// are kept up, and so the loop busy, until the store is destroyed.
Result<std::unique_ptr<StateStore>> open_state_store(const RedisOptions& options,
                                                     boost::asio::any_io_executor loop);

}  // namespace flux::redis
