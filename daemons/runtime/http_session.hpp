#pragma once
// One connection of the server, and what all connections of one loop share. An
// idle connection holds its socket and nothing else: the bytes of its next
// request arrive in the loop's buffer.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/intrusive/list.hpp>
#include <memory>
#include <string>
#include <vector>

#include "daemons/runtime/http_metrics.hpp"
#include "daemons/runtime/http_server.hpp"

namespace flux::runtime {

// A request under way: exists only while there is one.
struct Exchange {
  explicit Exchange(const RequestLimits& limits) : reader(limits) {}
  RequestReader reader;
  std::string unread{};     // bytes behind the request, e.g. the next one
  std::string unwritten{};  // what the socket did not take at once
  HttpResponse response{};
};

struct HttpLoop;

using SessionHook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

class HttpSession final : public std::enable_shared_from_this<HttpSession>, public SessionHook {
 public:
  using Socket =
      boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

  HttpSession(HttpLoop& loop, Socket socket, std::string peer);
  ~HttpSession();

  void start() { await_bytes(); }
  // Called by the loop's tick: enforces the deadline of whatever is waited for.
  void check_deadline(SteadyTime now);
  void begin_drain();
  void close();

 private:
  enum class Phase : std::uint8_t { idle, reading, handling, writing, lingering, closed };

  void await_bytes();
  void on_readable();
  void on_bytes(std::string_view bytes);
  void advance(std::string_view bytes);
  bool read_request(std::string_view bytes);
  void dispatch();
  void respond(HttpResponse response);
  bool send_response();
  bool write_some(std::string_view& first, std::string_view& second);
  void await_writable();
  void after_response();
  void linger();
  void set_phase(Phase phase);

  HttpLoop& loop_;
  Socket socket_;
  std::string peer_;
  std::unique_ptr<Exchange> exchange_;
  SteadyTime since_{};  // when the phase began
  Phase phase_ = Phase::idle;
  bool advancing_ = false;
  bool response_ready_ = false;
  bool close_after_ = false;
};

struct HttpLoop {
  HttpLoop(boost::asio::io_context& io, const HttpServerOptions& server_options, HttpHandler request_handler,
           HttpMetrics& http_metrics)
      : context(io), options(server_options), handler(std::move(request_handler)), metrics(http_metrics) {}

  std::unique_ptr<Exchange> take_exchange();
  void give_back(std::unique_ptr<Exchange> exchange);

  boost::asio::io_context& context;
  const HttpServerOptions& options;
  HttpHandler handler;
  HttpMetrics& metrics;
  bool draining = false;
  SteadyTime now{};  // of the last tick; precise enough for deadlines
  std::string date;  // the Date header, refreshed every second
  std::vector<char> buffer = std::vector<char>(64 << 10);
  std::string head;  // scratch for response heads
  std::vector<std::unique_ptr<Exchange>> spare{};
  std::atomic<std::size_t> connections{0};
  boost::intrusive::list<HttpSession, boost::intrusive::constant_time_size<false>> sessions{};
};

}  // namespace flux::runtime
