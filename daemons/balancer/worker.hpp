#pragma once
// One thread of the balancer: its loop, its listener, its clients and its way to
// the upstreams. Threads share only the upstreams' counts and health.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "daemons/balancer/access_log.hpp"
#include "daemons/balancer/dispatch.hpp"
#include "daemons/balancer/event_loop.hpp"
#include "daemons/balancer/settings.hpp"
#include "daemons/balancer/traffic_counters.hpp"

namespace flux::balancer {

class ClientConnection;

struct alignas(64) WorkerCounters {
  ThreadCounter accepted;
  ThreadCounter closed;
  ThreadCounter requests;
  ThreadCounter refused_requests;
  ThreadCounter answered_502;
  ThreadCounter answered_503;
  ThreadCounter answered_504;
  ThreadCounter tunnels;
  ThreadCounter truncated;
  ThreadCounter panics;
  ThreadCounter slow_clients;
  ThreadCounter over_cap;
  std::atomic<std::uint64_t> waiting{0};
};

// Connections per client address, over all threads; asked only when there is a cap.
class ClientCap {
 public:
  explicit ClientCap(std::uint32_t most) : most_(most) {}
  bool enabled() const { return most_ != 0; }
  bool take(const std::string& address);
  void give_back(const std::string& address);

 private:
  std::uint32_t most_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::uint32_t> taken_;
};

class Worker final : public Watched {
 public:
  Worker(const Settings& settings, unsigned thread, OwnedFd listener, ClientCap& cap);
  ~Worker() override;

  // Runs on the calling thread until drained or stopped.
  void run();

  // From other threads.
  void apply(std::shared_ptr<const Topology> topology);
  void upstream_down(std::shared_ptr<Upstream> upstream);
  void start_drain();
  void stop_now();
  void reopen_logs();
  const WorkerCounters& counters() const { return counters_; }

  // On this thread.
  static constexpr std::size_t kBufferSize = 64 << 10;
  const Settings& settings() const { return settings_; }
  EventLoop& loop() { return loop_; }
  Dispatch& dispatch() { return *dispatch_; }
  char* client_buffer() { return client_buffer_.get(); }
  char* upstream_buffer() { return upstream_buffer_.get(); }
  std::string& extra_fields() { return extra_; }
  AccessLog* access_log() { return access_log_ ? &*access_log_ : nullptr; }
  std::string_view hash_field() const;
  bool draining() const { return draining_; }
  void forget(ClientConnection& client);
  // Counts the client under the cap per address. False: there are too many already.
  bool take_place(ClientConnection& client);

  void count_request() { counters_.requests.add(); }
  void count_refused() { counters_.refused_requests.add(); }
  void count_own_answer(int status);
  void count_tunnel() { counters_.tunnels.add(); }
  void count_truncated() { counters_.truncated.add(); }
  void count_panic() { counters_.panics.add(); }
  void count_slow_client() { counters_.slow_clients.add(); }

 private:
  class Housekeeping;
  void on_ready(std::uint32_t events) override;
  bool accept_one();
  void pause_accepting();
  void leave_when_done();

  const Settings& settings_;
  ClientCap& cap_;
  EventLoop loop_;
  OwnedFd listener_;
  std::unique_ptr<char[]> client_buffer_;
  std::unique_ptr<char[]> upstream_buffer_;
  std::string extra_;
  std::optional<AccessLog> access_log_;
  std::unique_ptr<Dispatch> dispatch_;
  std::unique_ptr<Housekeeping> housekeeping_;
  ClientConnection* clients_ = nullptr;
  std::uint64_t open_clients_ = 0;
  std::uint64_t peak_clients_ = 0;
  bool draining_ = false;
  bool paused_ = false;
  WorkerCounters counters_;
};

}  // namespace flux::balancer
