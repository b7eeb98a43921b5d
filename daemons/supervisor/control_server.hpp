#pragma once
// The supervisor's control socket: HTTP over a Unix socket in the data directory
// (`curl --unix-socket .flux/run/control.sock http://flux/status`).
//   GET  /status
//   POST /scale  {"service": "api", "replicas": 5}
//   POST /down   {"timeout_ms": 30000}

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <string>

#include "common/core/result.hpp"
#include "daemons/supervisor/supervisor.hpp"

namespace flux::supervisor {

class ControlServer {
 public:
  ControlServer(boost::asio::io_context& loop, Supervisor& supervisor);
  // Replaces a socket file left behind; only the user may connect.
  Result<> listen(const std::string& path);

 private:
  void accept();

  boost::asio::io_context& loop_;
  Supervisor& supervisor_;
  boost::asio::local::stream_protocol::acceptor acceptor_;
};

}  // namespace flux::supervisor
