#pragma once
// Peers whose word about the client is believed: addresses or networks (CIDR).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemons/balancer/sockets.hpp"

namespace flux::balancer {

class TrustedProxies {
 public:
  // "10.0.0.0/8", "192.0.2.7", "2001:db8::/32"
  Result<> add(std::string_view network);
  bool empty() const { return networks_.empty(); }
  bool contains(const SocketAddress& address) const;

 private:
  struct Network {
    bool v6;
    unsigned bits;
    unsigned char bytes[16];
  };
  std::vector<Network> networks_;
};

}  // namespace flux::balancer
