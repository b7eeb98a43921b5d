#pragma once
// An HTTP server whose answers and delays are scripted by the test: one thread,
// every connection, delays kept by a heap of due times.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace flux::loadtest {

struct ScriptedAnswer {
  std::string bytes{};        // the whole response
  std::int64_t delay_ns = 0;  // after the request's arrival
  bool close_after = false;
  bool never = false;  // no answer at all
};

std::string ok_answer(const std::string& body = "ok", const std::string& headers = "");

class ScriptedServer {
 public:
  // `number` counts requests from 0; `now_ns` is since the server's start.
  using Script =
      std::function<ScriptedAnswer(std::uint64_t number, const std::string& request, std::int64_t now_ns)>;

  explicit ScriptedServer(Script script, std::uint16_t port = 0);
  ~ScriptedServer();

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::uint16_t port() const { return port_; }
  std::uint64_t requests() const { return requests_; }
  // Arrival to departure of each answer, as the server kept it, and arrival times since its start.
  std::vector<std::int64_t> delays() const;
  std::vector<std::int64_t> arrivals() const;
  std::vector<std::string> received() const;  // the requests themselves

 private:
  void serve();

  Script script_;
  int listener_ = -1;
  int epoll_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> requests_{0};
  mutable std::mutex mutex_;
  std::vector<std::int64_t> delays_;
  std::vector<std::int64_t> arrivals_;
  std::vector<std::string> received_;
  std::jthread thread_;
};

}  // namespace flux::loadtest
