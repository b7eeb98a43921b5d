#include "daemons/balancer/sockets.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace flux::balancer {
namespace {

constexpr int kBacklog = 4096;

void set_nodelay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Where both ends are this machine nothing can be congested, and a system-wide
// BBR would spend a timer on pacing every answer.
void spare_pacing(int fd, const SocketAddress& address) {
  constexpr char kPlain[] = "reno";
  if (address.is_loopback()) ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kPlain, sizeof kPlain - 1);
}

Error system_error(const std::string& what, int error, std::string hint) {
  return {error == EACCES ? Errc::forbidden : Errc::unavailable, what + ": " + std::strerror(error),
          std::move(hint)};
}

}  // namespace

void OwnedFd::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

std::string SocketAddress::host() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET6)
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, text, sizeof text);
  else
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, text, sizeof text);
  return text;
}

std::string SocketAddress::host_port() const {
  if (storage.ss_family == AF_INET6)
    return "[" + host() +
           "]:" + std::to_string(ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port));
  return host() + ":" + std::to_string(ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port));
}

bool SocketAddress::is_loopback() const {
  if (storage.ss_family == AF_INET6)
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr) != 0;
  return (ntohl(reinterpret_cast<const sockaddr_in&>(storage).sin_addr.s_addr) >> 24) == 127;
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return length == other.length && std::memcmp(&storage, &other.storage, length) == 0;
}

Result<SocketAddress> resolve_address(std::string_view host_port) {
  const auto colon = host_port.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == host_port.size())
    return Error{Errc::invalid_argument, "'" + std::string(host_port) + "' is not host:port"};
  std::string host(host_port.substr(0, colon));
  const std::string port(host_port.substr(colon + 1));
  if (port.find_first_not_of("0123456789") != std::string::npos || port.size() > 5 || std::stoi(port) > 65535)
    return Error{Errc::invalid_argument, "'" + port + "' in '" + std::string(host_port) + "' is not a port"};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_family = host.empty() ? AF_INET : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (host.empty() ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (code != 0)
    return Error{Errc::unavailable, "cannot resolve " + std::string(host_port) + ": " + ::gai_strerror(code),
                 "", true};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  SocketAddress address;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.length = found->ai_addrlen;
  return address;
}

Result<OwnedFd> listen_on(const SocketAddress& address, bool shared_port) {
  OwnedFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const std::string where = address.host_port();
  if (!fd) return system_error("cannot open a socket for " + where, errno, "raise the descriptor limit");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared_port) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  set_nodelay(fd.get());  // inherited by what is accepted, as the next one is
  spare_pacing(fd.get(), address);
  if (::bind(fd.get(), address.get(), address.length) != 0)
    return system_error("cannot listen on " + where, errno, "choose another address");
  if (::listen(fd.get(), kBacklog) != 0) return system_error("cannot listen on " + where, errno, "");
  return fd;
}

Result<SocketAddress> bound_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0)
    return system_error("cannot read a listener's address", errno, "");
  return address;
}

OwnedFd start_connect(const SocketAddress& to, int& failure) {
  OwnedFd fd(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  failure = 0;
  if (!fd) {
    failure = errno;
    return fd;
  }
  set_nodelay(fd.get());
  spare_pacing(fd.get(), to);
  if (::connect(fd.get(), to.get(), to.length) != 0 && errno != EINPROGRESS) {
    failure = errno;
    fd.close();
  }
  return fd;
}

int take_socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

IoResult read_some(int fd, char* into, std::size_t size) {
  for (;;) {
    const auto n = ::recv(fd, into, size, 0);
    if (n > 0) return {IoState::done, static_cast<std::size_t>(n)};
    if (n == 0) return {IoState::closed};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoState::blocked};
    return {IoState::failed, 0, errno};
  }
}

IoResult write_some(int fd, const iovec* pieces, std::size_t count) {
  for (;;) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = count;
    const auto n = count == 1 ? ::send(fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL)
                              : ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n >= 0) return {IoState::done, static_cast<std::size_t>(n)};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoState::blocked};
    return {IoState::failed, 0, errno};
  }
}

bool is_quiet(int fd) {
  char byte = 0;
  return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace flux::balancer
