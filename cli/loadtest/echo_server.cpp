#include "cli/loadtest/echo_server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <vector>

namespace flux::loadtest {
namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nServer: flux\r\nConnection: keep-alive\r\nContent-Type: "
    "application/json\r\nContent-Length: "
    "15\r\n\r\n{\"status\":\"ok\"}";
constexpr std::string_view kEnd = "\r\n\r\n";
constexpr int kPollMs = 50;  // how soon a stop is noticed

}  // namespace

Result<std::unique_ptr<EchoServer>> EchoServer::start(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd, 4096) != 0 || ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return Error{Errc::unavailable,
                 "cannot listen on 127.0.0.1:" + std::to_string(port) + " (" + std::strerror(error) + ")",
                 "take another port"};
  }
  return std::unique_ptr<EchoServer>(new EchoServer(fd, ntohs(address.sin_port)));
}

EchoServer::EchoServer(int listener, std::uint16_t port)
    : listener_(listener), epoll_(::epoll_create1(EPOLL_CLOEXEC)), port_(port) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  thread_ = std::jthread([this] { serve(); });
}

EchoServer::~EchoServer() {
  stopping_ = true;
  thread_.join();
  ::close(listener_);
  ::close(epoll_);
}

// Requests have no bodies and arrive whole or nearly so: counting blank lines is
// all the parsing that is needed, and what a piece leaves open is kept per connection.
void EchoServer::serve() {
  std::vector<char> buffer(64 << 10);
  std::unordered_map<int, std::string> open;  // connection -> bytes of an unfinished request
  epoll_event listening{};
  listening.events = EPOLLIN;
  listening.data.fd = listener_;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &listening);
  std::string answers;
  while (!stopping_) {
    epoll_event events[64];
    const int count = ::epoll_wait(epoll_, events, 64, kPollMs);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener_) {
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) continue;
        const int on = 1;
        ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = client;
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, client, &event);
        open.emplace(client, std::string());
        continue;
      }
      const auto got = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        if (got < 0 && errno == EAGAIN) continue;
        open.erase(fd);
        ::close(fd);
        continue;
      }
      std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
      if (bytes.ends_with(kEnd) && bytes.find(kEnd) == bytes.size() - kEnd.size() && open[fd].empty()) {
        answers = kAnswer;
        answered_.fetch_add(1, std::memory_order_relaxed);
      } else {
        std::string& pending = open[fd];
        pending.append(bytes);
        answers.clear();
        for (std::size_t end; (end = pending.find(kEnd)) != std::string::npos;) {
          pending.erase(0, end + kEnd.size());
          answers += kAnswer;
          answered_.fetch_add(1, std::memory_order_relaxed);
        }
      }
      if (!answers.empty() && ::send(fd, answers.data(), answers.size(), MSG_NOSIGNAL) < 0) {
        open.erase(fd);
        ::close(fd);
      }
    }
  }
  for (const auto& [fd, pending] : open) ::close(fd);
}

}  // namespace flux::loadtest
