#pragma once
// The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): who the
// client is, said by the load balancer in front in the first bytes.

#include <optional>
#include <string_view>

#include "daemons/balancer/sockets.hpp"

namespace flux::balancer {

struct ProxyHeader {
  enum class State : std::uint8_t { incomplete, complete, broken };
  State state = State::incomplete;
  std::size_t length = 0;
  // Nothing for LOCAL and UNKNOWN: the connection is the proxy's own.
  std::optional<SocketAddress> source{};
};

ProxyHeader parse_proxy_header(std::string_view bytes);

}  // namespace flux::balancer
