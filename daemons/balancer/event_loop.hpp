#pragma once
// One thread's readiness loop: edge-triggered epoll over plain descriptors, a
// timer wheel, and tasks posted by other threads. The data path is built on
// readiness instead of Asio's completions, so that a waiting connection pins no
// buffer and a request costs no epoll_ctl (runbooks/decisions/0004).

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "daemons/balancer/timer_wheel.hpp"

namespace flux::balancer {

// Something that may still be pointed to by the events at hand when it ends.
class Mortal {
 public:
  virtual ~Mortal() = default;
};

// Something with a descriptor in the loop. `events` are EPOLL* bits.
class Watched : public Mortal {
 public:
  virtual void on_ready(std::uint32_t events) = 0;
};

class EventLoop {
 public:
  EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  // Until stop(). Called on the loop's thread.
  void run();
  void stop() { stopped_ = true; }

  // Edge-triggered for reading, writing and the peer's close, once and for all.
  bool watch(int fd, Watched* watched);
  // Level-triggered for reading: a listener that may leave connections queued.
  bool watch_listener(int fd, Watched* watched);
  void unwatch(int fd);

  // Runs `task` after the events at hand. On the loop's thread.
  void soon(std::function<void()> task) { soon_.push_back(std::move(task)); }
  // Frees the object after the events at hand: some may still point to it.
  void bury(std::unique_ptr<Mortal> dead) { graveyard_.push_back(std::move(dead)); }
  // From any thread.
  void post(std::function<void()> task);

  // The time when the events at hand came; milliseconds on the steady clock.
  std::int64_t now_ms() const { return now_ns_ / 1'000'000; }
  std::int64_t now_ns() const { return now_ns_; }
  TimerWheel& timers() { return timers_; }

 private:
  void run_posted();
  void drain_soon();
  void read_clock();

  int epoll_ = -1;
  int wake_ = -1;
  bool stopped_ = false;
  std::int64_t now_ns_ = 0;
  TimerWheel timers_;
  std::vector<std::function<void()>> soon_;
  std::vector<std::unique_ptr<Mortal>> graveyard_;
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
};

}  // namespace flux::balancer
