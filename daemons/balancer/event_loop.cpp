#include "daemons/balancer/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace flux::balancer {

EventLoop::EventLoop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (epoll_ < 0 || wake_ < 0) throw std::system_error(errno, std::system_category(), "epoll");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event);
  read_clock();
  timers_.start(now_ms());
}

EventLoop::~EventLoop() {
  ::close(wake_);
  ::close(epoll_);
}

bool EventLoop::watch(int fd, Watched* watched) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = watched;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool EventLoop::watch_listener(int fd, Watched* watched) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = watched;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void EventLoop::unwatch(int fd) {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
}

void EventLoop::read_clock() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  now_ns_ = static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

void EventLoop::run_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto n = ::read(wake_, &count, sizeof count);
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
}

void EventLoop::drain_soon() {
  while (!soon_.empty()) {
    std::vector<std::function<void()>> tasks;
    tasks.swap(soon_);
    for (auto& task : tasks) task();
  }
}

void EventLoop::run() {
  std::array<epoll_event, 512> events{};
  while (!stopped_) {
    const int n =
        ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timers_.wait_ms(now_ms()));
    read_clock();
    for (int i = 0; i < n; ++i) {
      auto* watched = static_cast<Watched*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (watched == nullptr)
        run_posted();
      else
        watched->on_ready(events[static_cast<std::size_t>(i)].events);
    }
    timers_.expire(now_ms());
    drain_soon();
    graveyard_.clear();
  }
  drain_soon();
  graveyard_.clear();
}

}  // namespace flux::balancer
