#include "scripted_server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <queue>
#include <stdexcept>

namespace flux::loadtest {
namespace {

std::int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// The first whole request in `bytes`: its length, or 0.
std::size_t whole_request(const std::string& bytes) {
  const auto head = bytes.find("\r\n\r\n");
  if (head == std::string::npos) return 0;
  std::size_t body = 0;
  const auto field = bytes.find("Content-Length: ");
  if (field < head) body = std::stoul(bytes.substr(field + 16));
  return bytes.size() >= head + 4 + body ? head + 4 + body : 0;
}

struct Due {
  std::int64_t at;
  std::int64_t arrived;
  int fd;
  std::uint64_t connection;
  ScriptedAnswer answer;
  bool operator>(const Due& other) const { return at > other.at; }
};

}  // namespace

std::string ok_answer(const std::string& body, const std::string& headers) {
  return "HTTP/1.1 200 OK\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

ScriptedServer::ScriptedServer(Script script, std::uint16_t port) : script_(std::move(script)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_, 4096) != 0)
    throw std::runtime_error("cannot listen");
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  thread_ = std::jthread([this] { serve(); });
}

ScriptedServer::~ScriptedServer() {
  stopping_ = true;
  thread_.join();
  ::close(listener_);
  ::close(epoll_);
}

std::vector<std::int64_t> ScriptedServer::delays() const {
  const std::scoped_lock lock(mutex_);
  return delays_;
}

std::vector<std::int64_t> ScriptedServer::arrivals() const {
  const std::scoped_lock lock(mutex_);
  return arrivals_;
}

std::vector<std::string> ScriptedServer::received() const {
  const std::scoped_lock lock(mutex_);
  return received_;
}

void ScriptedServer::serve() {
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  const std::int64_t began = steady_ns();
  std::map<int, std::pair<std::uint64_t, std::string>> open;  // fd -> connection number, bytes
  std::uint64_t connections = 0;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due;
  const auto drop = [&](int fd) {
    if (open.erase(fd) != 0) ::close(fd);
  };
  const auto watch = [&](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  };
  watch(listener_);
  std::vector<char> buffer(1 << 16);
  while (!stopping_) {
    std::int64_t pause = 20'000'000;
    if (!due.empty()) pause = std::clamp<std::int64_t>(due.top().at - steady_ns(), 0, pause);
    const timespec timeout{0, pause};
    epoll_event events[64];
    const int count = ::epoll_pwait2(epoll_, events, 64, &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener_) {
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) continue;
        const int on = 1;
        ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        open[client] = {++connections, ""};
        watch(client);
        continue;
      }
      const auto got = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        drop(fd);
        continue;
      }
      const std::int64_t now = steady_ns();
      auto& [connection, bytes] = open[fd];
      bytes.append(buffer.data(), static_cast<std::size_t>(got));
      for (std::size_t length; (length = whole_request(bytes)) != 0;) {
        const std::string request = bytes.substr(0, length);
        bytes.erase(0, length);
        ScriptedAnswer answer = script_(requests_, request, now - began);
        ++requests_;
        {
          const std::scoped_lock lock(mutex_);
          arrivals_.push_back(now - began);
          received_.push_back(request);
        }
        if (!answer.never) due.push({now + answer.delay_ns, now, fd, connection, std::move(answer)});
      }
    }
    while (!due.empty() && due.top().at <= steady_ns()) {
      const Due one = due.top();
      due.pop();
      const auto found = open.find(one.fd);
      if (found == open.end() || found->second.first != one.connection) continue;
      {
        const std::scoped_lock lock(mutex_);
        delays_.push_back(steady_ns() - one.arrived);
      }
      ::send(one.fd, one.answer.bytes.data(), one.answer.bytes.size(), MSG_NOSIGNAL);
      if (one.answer.close_after) drop(one.fd);
    }
  }
  for (const auto& [fd, state] : open) ::close(fd);
}

}  // namespace flux::loadtest
