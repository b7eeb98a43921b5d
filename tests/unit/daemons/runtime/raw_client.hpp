#pragma once
// A client that sends the bytes it is told and gives back what came, so that
// tests see the wire and not a library's idea of it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace flux::testing {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { ::close(fd_); }

  bool connected() const { return connected_; }
  bool reset() const { return reset_; }
  bool at_end() const { return at_end_; }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }

  // One more read into what is at hand; false: nothing within the time, or the end.
  bool receive(int timeout_ms = 5000) {
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, timeout_ms) <= 0) return false;
    char buffer[16384];
    const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n > 0) {
      received_.append(buffer, static_cast<std::size_t>(n));
      return true;
    }
    at_end_ = n == 0;
    reset_ = n < 0;
    return false;
  }

  // The next whole response (by its Content-Length); what came so far when it ends early.
  std::string response(bool head_only = false) {
    while (true) {
      const auto end = received_.find("\r\n\r\n");
      if (end != std::string::npos) {
        std::size_t length = 0;
        const auto field = received_.find("Content-Length: ");
        if (!head_only && field < end) length = std::strtoul(received_.c_str() + field + 16, nullptr, 10);
        if (received_.size() >= end + 4 + length) {
          std::string one = received_.substr(0, end + 4 + length);
          received_.erase(0, one.size());
          return one;
        }
      }
      if (!receive()) return std::exchange(received_, {});
    }
  }

  std::string ask(std::string_view request) {
    send(request);
    return response();
  }

  // Everything until the other side ends.
  std::string rest() {
    while (receive()) {
    }
    return std::exchange(received_, {});
  }

 private:
  int fd_;
  bool connected_ = false;
  bool reset_ = false;
  bool at_end_ = false;
  std::string received_;
};

}  // namespace flux::testing
