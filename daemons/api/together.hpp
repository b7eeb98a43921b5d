#pragma once
// Two calls at once on one loop, so that what they send travels together.

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace flux::api {

// Neither may throw; both run on the caller's (single-threaded) executor.
template <class A, class B>
boost::asio::awaitable<std::pair<A, B>> together(boost::asio::awaitable<A> first,
                                                 boost::asio::awaitable<B> second) {
  namespace asio = boost::asio;
  struct Meeting {
    std::optional<A> result;
    std::function<void()> resume;
  };
  const auto meeting = std::make_shared<Meeting>();
  const auto executor = co_await asio::this_coro::executor;
  asio::co_spawn(
      executor,
      [](asio::awaitable<A> work, std::shared_ptr<Meeting> at) -> asio::awaitable<void> {
        at->result.emplace(co_await std::move(work));
        if (at->resume) at->resume();
      }(std::move(first), meeting),
      asio::detached);
  B other = co_await std::move(second);
  if (!meeting->result)
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [&meeting](auto handler) {
          const auto shared = std::make_shared<decltype(handler)>(std::move(handler));
          meeting->resume = [shared] { std::move (*shared)(); };
        },
        asio::use_awaitable);
  co_return std::pair<A, B>{std::move(*meeting->result), std::move(other)};
}

}  // namespace flux::api
