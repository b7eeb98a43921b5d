#include "daemons/balancer/trusted_proxies.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

namespace flux::balancer {

Result<> TrustedProxies::add(std::string_view text) {
  const auto slash = text.find('/');
  const std::string host(text.substr(0, slash));
  Network network{};
  network.v6 = host.find(':') != std::string::npos;
  const unsigned most = network.v6 ? 128 : 32;
  network.bits = most;
  bool valid = ::inet_pton(network.v6 ? AF_INET6 : AF_INET, host.c_str(), network.bytes) == 1;
  if (slash != std::string_view::npos) {
    const std::string bits(text.substr(slash + 1));
    valid = valid && !bits.empty() && bits.size() <= 3 &&
            bits.find_first_not_of("0123456789") == std::string::npos;
    if (valid) network.bits = static_cast<unsigned>(std::stoi(bits));
    valid = valid && network.bits <= most;
  }
  if (!valid)
    return Error{Errc::invalid_argument, "'" + std::string(text) + "' is not an address or network",
                 "write it like 10.0.0.0/8 or 2001:db8::1"};
  networks_.push_back(network);
  return {};
}

bool TrustedProxies::contains(const SocketAddress& address) const {
  const bool v6 = address.storage.ss_family == AF_INET6;
  const auto* bytes = v6 ? reinterpret_cast<const unsigned char*>(
                               &reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr)
                         : reinterpret_cast<const unsigned char*>(
                               &reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr);
  for (const Network& network : networks_) {
    if (network.v6 != v6) continue;
    const unsigned whole = network.bits / 8;
    const unsigned rest = network.bits % 8;
    if (std::memcmp(bytes, network.bytes, whole) != 0) continue;
    if (rest == 0 || (bytes[whole] ^ network.bytes[whole]) >> (8 - rest) == 0) return true;
  }
  return false;
}

}  // namespace flux::balancer
