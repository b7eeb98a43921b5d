#pragma once
// Lets a thread that owns a loop wait for one asynchronous port call. A worker's
// consumer is sequential by nature; the loop turns only while it waits.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"

namespace flux::worker {

// Ports complete within their own timeouts; `longest` only guards against an
// engine that does not. The loop must have a work guard.
template <class T>
Result<T> await_on(boost::asio::io_context& loop, boost::asio::awaitable<Result<T>> call,
                   Duration longest = std::chrono::seconds{60}) {
  struct Slot {
    std::optional<Result<T>> result;
    std::exception_ptr failure;
  };
  const auto slot = std::make_shared<Slot>();  // outlives this frame when the deadline passes
  boost::asio::co_spawn(loop, std::move(call), [slot](std::exception_ptr failure, Result<T> result) {
    slot->failure = failure;
    slot->result.emplace(std::move(result));
  });
  const auto deadline = std::chrono::steady_clock::now() + longest;
  while (!slot->result) {
    if (loop.run_one_until(deadline) == 0 && !slot->result)
      return Error{Errc::timed_out, "an engine did not answer within its own deadline", "", true};
  }
  if (slot->failure) std::rethrow_exception(slot->failure);
  return std::move(*slot->result);
}

}  // namespace flux::worker
