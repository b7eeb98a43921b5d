#include "daemons/runtime/blocking_pool.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

namespace flux::runtime {
namespace asio = boost::asio;

BlockingPool::BlockingPool(int threads, std::size_t queue_limit) : queue_limit_(queue_limit) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

BlockingPool::~BlockingPool() {
  stop();
}

void BlockingPool::stop() {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
  }
  wake_.notify_all();
  threads_.clear();  // joins
}

bool BlockingPool::enqueue(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= queue_limit_) return false;
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
  return true;
}

void BlockingPool::serve() {
  while (true) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

asio::awaitable<bool> BlockingPool::submit(std::function<void()> work) {
  const auto executor = co_await asio::this_coro::executor;
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
      [this, &executor, &work](auto handler) {
        const auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        const auto resume = [executor = executor, shared](bool ran) {
          asio::post(executor, [shared, ran] { std::move (*shared)(ran); });
        };
        if (!enqueue([work = std::move(work), resume] {
              work();
              resume(true);
            }))
          resume(false);
      },
      asio::use_awaitable);
}

}  // namespace flux::runtime
