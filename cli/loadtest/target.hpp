#pragma once
// Where the load goes: a URL resolved once, before the run.

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace flux::loadtest {

struct Target {
  std::string url;  // as given
  bool tls = false;
  std::string host;       // without brackets; also the TLS server name
  std::string authority;  // for Host
  sockaddr_storage address{};
  socklen_t address_length = 0;

  bool is_loopback() const;
};

// http://host[:port] or https://…; unreachable when the name does not resolve.
Result<Target> resolve_target(std::string_view url);
// One connection, closed at once: says early that nobody listens there.
Result<> probe_target(const Target& target);

}  // namespace flux::loadtest
