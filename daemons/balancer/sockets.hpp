#pragma once
// The few socket calls the balancer makes, with their errors in words.

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/core/result.hpp"

namespace flux::balancer {

class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~OwnedFd() { close(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void close();

 private:
  int fd_ = -1;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  std::string host() const;       // "127.0.0.1", "::1"
  std::string host_port() const;  // "127.0.0.1:80", "[::1]:80"
  bool is_loopback() const;
  bool operator==(const SocketAddress& other) const;
};

// "127.0.0.1:80", "[::1]:80", ":80" (every address), "name:80". May ask the resolver.
Result<SocketAddress> resolve_address(std::string_view host_port);

// A listener; with `shared_port` several may listen on the same address.
Result<OwnedFd> listen_on(const SocketAddress& address, bool shared_port);
Result<SocketAddress> bound_address(int fd);

// Starts to connect without waiting. `failure` is errno when it failed at once.
OwnedFd start_connect(const SocketAddress& to, int& failure);
int take_socket_error(int fd);

enum class IoState { done, blocked, closed, failed };
struct IoResult {
  IoState state = IoState::done;
  std::size_t bytes = 0;
  int error = 0;
};
IoResult read_some(int fd, char* into, std::size_t size);
IoResult write_some(int fd, const iovec* pieces, std::size_t count);
// True when nothing waits to be read and the peer has not closed.
bool is_quiet(int fd);

}  // namespace flux::balancer
