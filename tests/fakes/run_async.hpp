#pragma once
// Runs coroutines of the ports from a plain test: a loop of its own, driven by
// the calling thread until the coroutine is done.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

#include "common/core/clock.hpp"

namespace flux::testing {

class AsyncRunner {
 public:
  boost::asio::any_io_executor executor() { return loop_.get_executor(); }
  boost::asio::io_context& loop() { return loop_; }

  // Throws when it is not done by the deadline.
  template <class T>
  T run(boost::asio::awaitable<T> work, Duration deadline = std::chrono::seconds{30}) {
    std::optional<T> value;
    std::exception_ptr failure;
    bool done = false;
    boost::asio::co_spawn(loop_, keep(std::move(work), value), [&](std::exception_ptr thrown) {
      failure = thrown;
      done = true;
    });
    run_until([&] { return done; }, deadline);
    if (failure) std::rethrow_exception(failure);
    if (!value) throw std::runtime_error("the coroutine was not done by the deadline");
    return std::move(*value);
  }

  // Runs the loop until `done` says so, or the deadline passes. Returns done().
  template <class Done>
  bool run_until(Done done, Duration deadline = std::chrono::seconds{30}) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!done() && std::chrono::steady_clock::now() < end) {
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds{20});
    }
    return done();
  }

 private:
  template <class T>
  static boost::asio::awaitable<void> keep(boost::asio::awaitable<T> work, std::optional<T>& value) {
    value.emplace(co_await std::move(work));
  }

  boost::asio::io_context loop_{1};
};

// The same for a single coroutine that needs no loop of its own kept.
template <class T>
T run_async(boost::asio::awaitable<T> work, Duration deadline = std::chrono::seconds{30}) {
  AsyncRunner runner;
  return runner.run(std::move(work), deadline);
}

}  // namespace flux::testing
