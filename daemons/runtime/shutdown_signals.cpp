#include "daemons/runtime/shutdown_signals.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

namespace flux::runtime {

struct ShutdownSignals::Impl {
  boost::asio::io_context context{1};
  boost::asio::signal_set signals{context, SIGTERM, SIGINT};
  int received = 0;

  void listen() {
    signals.async_wait([this](const boost::system::error_code& ec, int number) {
      if (ec) return;
      received = number;
      listen();
    });
  }
};

ShutdownSignals::ShutdownSignals() : impl_(std::make_unique<Impl>()) {
  impl_->listen();
}

ShutdownSignals::~ShutdownSignals() = default;

int ShutdownSignals::wait(Duration at_most) {
  impl_->received = 0;
  if (at_most == Duration::max())
    while (impl_->received == 0) impl_->context.run_one();
  else
    impl_->context.run_one_for(at_most);
  return impl_->received;
}

}  // namespace flux::runtime
