#pragma once
// A few threads for calls that block, so that event loops never do.

#include <boost/asio/awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include "common/core/result.hpp"

namespace flux::runtime {

class BlockingPool {
 public:
  explicit BlockingPool(int threads, std::size_t queue_limit = 4096);
  ~BlockingPool();  // stops

  // Runs `fn` (which returns a Result) on a thread of the pool and comes back to
  // the coroutine's own loop. `exhausted` without running it when the queue is full.
  template <class Fn>
  auto run(Fn fn) -> boost::asio::awaitable<std::invoke_result_t<Fn>> {
    std::optional<std::invoke_result_t<Fn>> result;
    if (!co_await submit([&fn, &result] { result.emplace(fn()); }))
      co_return Error{Errc::exhausted, "too many blocking calls are waiting", "retry later", true};
    co_return std::move(*result);
  }

  // Finishes what runs, drops what waits. Before the loops are destroyed. Idempotent.
  void stop();

 private:
  boost::asio::awaitable<bool> submit(std::function<void()> work);
  bool enqueue(std::function<void()> work);
  void serve();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  const std::size_t queue_limit_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace flux::runtime
