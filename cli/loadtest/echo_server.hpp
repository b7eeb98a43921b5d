#pragma once
// The smallest HTTP/1.1 keep-alive server: the same answer to every request, one
// thread, one epoll. The generator calibrates itself against it, and benchmarks
// use it as a target that costs next to nothing.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "common/core/result.hpp"

namespace flux::loadtest {

class EchoServer {
 public:
  // Port 0: any free one, on 127.0.0.1.
  static Result<std::unique_ptr<EchoServer>> start(std::uint16_t port = 0);
  ~EchoServer();
  EchoServer(const EchoServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::uint64_t answered() const { return answered_.load(std::memory_order_relaxed); }

 private:
  EchoServer(int listener, std::uint16_t port);
  void serve();

  int listener_;
  int epoll_;
  std::uint16_t port_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> answered_{0};
  std::jthread thread_;
};

}  // namespace flux::loadtest
