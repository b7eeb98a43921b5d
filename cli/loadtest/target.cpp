#include "cli/loadtest/target.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <cerrno>
#include <cstring>

namespace flux::loadtest {
namespace {

constexpr int kProbeMs = 3000;

Error unreachable(const Target& target, const std::string& why) {
  return {Errc::unavailable, "cannot reach " + target.url + " (" + why + ")",
          "start it, or name another target with --host", true};
}

}  // namespace

bool Target::is_loopback() const {
  if (address.ss_family != AF_INET) return false;
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
}

Result<Target> resolve_target(std::string_view url) {
  const std::string text =
      url.find("://") == std::string_view::npos ? "http://" + std::string(url) : std::string(url);
  const auto parsed = boost::urls::parse_uri(text);
  const Error bad{Errc::invalid_argument, "not a target: '" + std::string(url) + "'",
                  "write it like http://127.0.0.1:8080 or https://shop.example"};
  if (!parsed || parsed->host().empty()) return bad;
  Target target;
  target.url = text;
  target.tls = parsed->scheme() == "https";
  if (!target.tls && parsed->scheme() != "http") return bad;
  target.host = parsed->host_address();
  target.authority = std::string(parsed->encoded_host_and_port());
  const std::string port = parsed->has_port() ? std::string(parsed->port()) : (target.tls ? "443" : "80");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(target.host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0 || found == nullptr) return unreachable(target, ::gai_strerror(failed));
  // IPv4 first: "localhost" often resolves to ::1 as well, where few services listen.
  const addrinfo* chosen = found;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next)
    if (each->ai_family == AF_INET) {
      chosen = each;
      break;
    }
  std::memcpy(&target.address, chosen->ai_addr, chosen->ai_addrlen);
  target.address_length = chosen->ai_addrlen;
  ::freeaddrinfo(found);
  return target;
}

Result<> probe_target(const Target& target) {
  const int fd = ::socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return unreachable(target, std::strerror(errno));
  int error = 0;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&target.address), target.address_length) != 0) {
    error = errno;
    if (error == EINPROGRESS) {
      pollfd waiting{fd, POLLOUT, 0};
      socklen_t length = sizeof error;
      if (::poll(&waiting, 1, kProbeMs) <= 0)
        error = ETIMEDOUT;
      else
        ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
  }
  ::close(fd);
  if (error != 0) return unreachable(target, std::strerror(error));
  return {};
}

}  // namespace flux::loadtest
