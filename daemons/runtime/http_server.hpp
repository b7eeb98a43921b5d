#pragma once
// The HTTP/1.1 server that every daemon listens with: one SO_REUSEPORT listener
// per event loop, keep-alive, pipelining, deadlines and limits, and a drain that
// no client notices.

#include <memory>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/metrics/registry.hpp"
#include "daemons/runtime/event_loops.hpp"
#include "daemons/runtime/http_message.hpp"
#include "daemons/runtime/listen_address.hpp"
#include "daemons/runtime/request_reader.hpp"

namespace flux::runtime {

struct HttpServerOptions {
  RequestLimits limits{};
  Duration header_timeout = std::chrono::seconds{10};  // from a request's first byte to its header's end
  Duration body_timeout = std::chrono::seconds{20};
  Duration idle_timeout = std::chrono::seconds{75};
  Duration write_timeout = std::chrono::seconds{20};
  // While draining: a connection that asks nothing for so long is closed. Others
  // are answered with `Connection: close`.
  Duration idle_grace = std::chrono::seconds{1};
  std::size_t max_connections = 18'000;  // of all loops; more wait in the listen queue
};

class HttpServer {
 public:
  // `handlers`: one per loop, called on that loop. Listens when it returns; serves
  // once the loops run.
  static Result<std::unique_ptr<HttpServer>> listen(EventLoops& loops, const ListenAddress& address,
                                                    const HttpServerOptions& options,
                                                    std::vector<HttpHandler> handlers,
                                                    MetricsRegistry& metrics);
  ~HttpServer();  // after the loops stopped

  const ListenAddress& address() const;  // with the port it got
  std::size_t connections() const;

  // Stops accepting, then answers what comes with `Connection: close`. Thread-safe.
  void begin_drain();
  // True when the last connection is gone. Blocks; not on a loop.
  bool await_drained(Duration at_most);

 private:
  class Listener;
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux::runtime
