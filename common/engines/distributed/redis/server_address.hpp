#pragma once
// Where a Redis server is and how to log in there.

#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace flux::redis {

struct ServerAddress {
  std::string host;
  int port = 6379;
  std::string to_string() const { return host + ":" + std::to_string(port); }
  bool operator==(const ServerAddress&) const = default;
};

struct Login {
  std::string user{};
  std::string password{};
  int db = 0;
};

struct RedisUrl {
  ServerAddress address;
  Login login;
};

// Messages of errors never repeat the password.
Result<RedisUrl> parse_url(const std::string& url);
Result<ServerAddress> parse_address(std::string_view host_and_port);

}  // namespace flux::redis
