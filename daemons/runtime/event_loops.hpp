#pragma once
// The threads of a daemon that run events: each owns one io_context and shares
// nothing with the others.

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace flux::runtime {

class EventLoops {
 public:
  explicit EventLoops(int threads);
  ~EventLoops();  // stops

  std::size_t size() const { return loops_.size(); }
  boost::asio::io_context& operator[](std::size_t i) { return loops_[i]->context; }

  // Whatever uses the loops is set up before and torn down after.
  void start();
  // Ends the threads; handlers that did not run are destroyed with the loops. Idempotent.
  void stop();

 private:
  struct Loop {
    boost::asio::io_context context{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
    std::jthread thread{};
  };
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace flux::runtime
