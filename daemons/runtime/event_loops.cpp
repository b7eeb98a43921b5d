#include "daemons/runtime/event_loops.hpp"

#include <algorithm>
#include <exception>

#include "common/core/log.hpp"

namespace flux::runtime {

EventLoops::EventLoops(int threads) {
  for (int i = 0; i < std::max(1, threads); ++i) loops_.push_back(std::make_unique<Loop>());
}

EventLoops::~EventLoops() {
  stop();
}

void EventLoops::start() {
  for (auto& loop : loops_)
    loop->thread = std::jthread([&context = loop->context] {
      while (!context.stopped()) {
        try {
          context.run();
        } catch (const std::exception& e) {  // a handler's bug must not end the daemon
          log::error("unexpected failure in an event loop", {{"what", e.what()}});
        }
      }
    });
}

void EventLoops::stop() {
  for (auto& loop : loops_) loop->context.stop();
  for (auto& loop : loops_)
    if (loop->thread.joinable()) loop->thread.join();
}

}  // namespace flux::runtime
