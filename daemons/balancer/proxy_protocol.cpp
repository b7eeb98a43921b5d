#include "daemons/balancer/proxy_protocol.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

namespace flux::balancer {
namespace {

using State = ProxyHeader::State;

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kText = "PROXY ";
constexpr std::size_t kLongestText = 107;
constexpr std::size_t kFixedPart = 16;

bool may_become(std::string_view bytes, std::string_view start) {
  const auto n = std::min(bytes.size(), start.size());
  return bytes.substr(0, n) == start.substr(0, n);
}

std::optional<SocketAddress> make_address(int family, const void* address, std::size_t size,
                                          std::uint16_t port) {
  SocketAddress out;
  if (family == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
    in.sin_family = AF_INET;
    in.sin_port = port;
    std::memcpy(&in.sin_addr, address, size);
    out.length = sizeof in;
  } else {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(out.storage);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = port;
    std::memcpy(&in6.sin6_addr, address, size);
    out.length = sizeof in6;
  }
  return out;
}

std::string_view next_word(std::string_view& line) {
  const auto space = line.find(' ');
  const auto word = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return word;
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == std::string_view::npos &&
         std::stoi(std::string(text)) <= 65535;
}

ProxyHeader parse_text(std::string_view bytes) {
  const auto end = bytes.substr(0, kLongestText).find("\r\n");
  if (end == std::string_view::npos)
    return {bytes.size() < kLongestText ? State::incomplete : State::broken, 0, {}};
  ProxyHeader header{State::complete, end + 2, {}};
  std::string_view line = bytes.substr(kText.size(), end - kText.size());
  const auto protocol = next_word(line);
  if (protocol == "UNKNOWN") return header;
  const int family = protocol == "TCP4" ? AF_INET : AF_INET6;
  const std::string source(next_word(line));
  const std::string target(next_word(line));
  const auto source_port = next_word(line);
  unsigned char parsed[16];
  unsigned char ignored[16];
  if ((protocol != "TCP4" && protocol != "TCP6") || ::inet_pton(family, source.c_str(), parsed) != 1 ||
      ::inet_pton(family, target.c_str(), ignored) != 1 || !is_port(source_port) || !is_port(line))
    return {State::broken, 0, {}};
  header.source = make_address(family, parsed, family == AF_INET ? 4 : 16,
                               htons(static_cast<std::uint16_t>(std::stoi(std::string(source_port)))));
  return header;
}

ProxyHeader parse_binary(std::string_view bytes) {
  if (bytes.size() < kFixedPart) return {};
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const std::size_t payload = static_cast<std::size_t>(at(14)) << 8 | at(15);
  if (at(12) != 0x20 && at(12) != 0x21) return {State::broken, 0, {}};
  if (payload > 4096) return {State::broken, 0, {}};
  if (bytes.size() < kFixedPart + payload) return {};
  ProxyHeader header{State::complete, kFixedPart + payload, {}};
  if (at(12) == 0x20) return header;  // LOCAL
  const bool v4 = at(13) == 0x11;
  if (!v4 && at(13) != 0x21) return header;  // not TCP over IP: nothing to learn
  const std::size_t size = v4 ? 4 : 16;
  if (payload < 2 * size + 4) return {State::broken, 0, {}};
  std::uint16_t port = 0;
  std::memcpy(&port, bytes.data() + kFixedPart + 2 * size, sizeof port);
  header.source = make_address(v4 ? AF_INET : AF_INET6, bytes.data() + kFixedPart, size, port);
  return header;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
  if (may_become(bytes, kSignature))
    return bytes.size() < kSignature.size() ? ProxyHeader{} : parse_binary(bytes);
  if (may_become(bytes, kText)) return bytes.size() < kText.size() ? ProxyHeader{} : parse_text(bytes);
  return {State::broken, 0, {}};
}

}  // namespace flux::balancer
