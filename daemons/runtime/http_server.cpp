#include "daemons/runtime/http_server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>

#include "common/core/log.hpp"
#include "daemons/runtime/http_session.hpp"

namespace flux::runtime {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                               asio::io_context::executor_type>;

constexpr Duration kTick = std::chrono::milliseconds{100};
constexpr int kTicksPerSweep = 5;  // deadlines are kept to half a second
constexpr int kBacklog = 4096;

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text;
}

Result<tcp::endpoint> resolve(const ListenAddress& address) {
  if (address.host.empty()) return tcp::endpoint(tcp::v4(), address.port);
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  boost::system::error_code ec;
  const auto ip = asio::ip::make_address(host, ec);
  if (ec)
    return Error{Errc::invalid_argument, "not an IP address to listen on: '" + address.host + "'",
                 "write it like 127.0.0.1:8000 or :8080"};
  return tcp::endpoint(ip, address.port);
}

Error cannot_listen(const tcp::endpoint& endpoint, const boost::system::error_code& ec) {
  const std::string where = endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
  return {Errc::exhausted, "cannot listen on " + where + ": " + ec.message(),
          "stop what uses the port, or choose another with --listen"};
}

}  // namespace

// Accepts for one loop, and keeps its time.
class HttpServer::Listener {
 public:
  Listener(asio::io_context& context, const HttpServerOptions& options, HttpHandler handler,
           MetricsRegistry& registry, std::size_t index, std::size_t connections_limit)
      : metrics_(registry),
        loop_(context, options, std::move(handler), metrics_),
        acceptor_(context),
        timer_(context),
        limit_(connections_limit),
        connections_gauge_(registry.gauge("flux_http_connections", "Open client connections.",
                                          {{"loop", std::to_string(index)}})),
        lag_(registry.gauge("flux_loop_lag_seconds",
                            "How late the event loop ran its timer, the worst of the last second.",
                            {{"loop", std::to_string(index)}})) {
    loop_.now = std::chrono::steady_clock::now();
    loop_.date = http_date();
  }

  Result<> open(tcp::endpoint& endpoint) {
    boost::system::error_code ec;
    acceptor_.open(endpoint.protocol(), ec);
    if (ec) return cannot_listen(endpoint, ec);
    const int fd = acceptor_.native_handle();
    const int on = 1;
    // Accepted sockets inherit TCP_NODELAY.
    if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
      return cannot_listen(endpoint, {errno, boost::system::system_category()});
    acceptor_.non_blocking(true, ec);
    if (!ec) acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(kBacklog, ec);
    if (ec) return cannot_listen(endpoint, ec);
    endpoint = acceptor_.local_endpoint(ec);
    if (ec) return cannot_listen(endpoint, ec);
    return {};
  }

  void start() {
    await_connections();
    next_tick_ = std::chrono::steady_clock::now() + kTick;
    await_tick();
  }

  void begin_drain() {
    asio::post(loop_.context, [this] {
      if (loop_.draining) return;
      loop_.draining = true;
      loop_.now = std::chrono::steady_clock::now();
      for (auto& session : loop_.sessions) session.begin_drain();
      // A closing listener resets what waits in its queue: let nothing more in,
      // then take what is there.
      ::listen(acceptor_.native_handle(), 0);
      while (accept_one()) {
      }
      boost::system::error_code ignored;
      acceptor_.close(ignored);
    });
  }

  std::size_t connections() const { return loop_.connections.load(std::memory_order_relaxed); }

  void close_all() {
    while (!loop_.sessions.empty()) loop_.sessions.front().close();
  }

 private:
  void await_connections() {
    acceptor_.async_wait(Acceptor::wait_read, [this](const boost::system::error_code& ec) {
      if (ec) return;
      for (int i = 0; i < 64 && connections() < limit_; ++i)
        if (!accept_one()) break;
      if (loop_.draining) return;
      if (connections() < limit_ && !out_of_descriptors_)
        await_connections();
      else
        paused_ = true;  // until the next sweep
    });
  }

  bool accept_one() {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const int fd = ::accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&from), &length,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        if (!out_of_descriptors_) log::warning("cannot accept connections", {{"why", std::strerror(errno)}});
        out_of_descriptors_ = true;
        return false;
      }
      return errno == ECONNABORTED || errno == EINTR;  // that one is gone; others may wait
    }
    tcp::endpoint peer;
    peer.resize(length);
    std::memcpy(peer.data(), &from, length);
    boost::system::error_code ec;
    HttpSession::Socket socket(loop_.context);
    socket.assign(peer.protocol(), fd, ec);
    if (ec) {
      ::close(fd);
      return true;
    }
    socket.non_blocking(true, ec);
    std::make_shared<HttpSession>(loop_, std::move(socket), peer.address().to_string())->start();
    return true;
  }

  void await_tick() {
    timer_.expires_at(next_tick_);
    timer_.async_wait([this](const boost::system::error_code& ec) {
      if (ec) return;
      tick();
      await_tick();
    });
  }

  void tick() {
    const auto now = std::chrono::steady_clock::now();
    loop_.now = now;
    connections_gauge_.set(static_cast<double>(connections()));
    worst_lag_ = std::max(worst_lag_, Duration(now - next_tick_));
    next_tick_ = now + kTick;
    if (++ticks_ % kTicksPerSweep == 0) sweep(now);
    if (ticks_ % 10 == 0) {
      lag_.set(std::chrono::duration<double>(worst_lag_).count());
      worst_lag_ = Duration::zero();
      loop_.date = http_date();
    }
  }

  void sweep(SteadyTime now) {
    for (auto at = loop_.sessions.begin(); at != loop_.sessions.end();) {
      auto session = (at++)->shared_from_this();
      session->check_deadline(now);
    }
    if (paused_ && !loop_.draining && connections() < limit_) {
      paused_ = out_of_descriptors_ = false;
      await_connections();
    }
  }

  HttpMetrics metrics_;
  HttpLoop loop_;
  Acceptor acceptor_;
  Timer timer_;
  const std::size_t limit_;
  Gauge& connections_gauge_;
  Gauge& lag_;
  SteadyTime next_tick_{};
  Duration worst_lag_{};
  unsigned ticks_ = 0;
  bool paused_ = false;
  bool out_of_descriptors_ = false;
};

struct HttpServer::Impl {
  HttpServerOptions options;
  ListenAddress address;
  std::vector<std::unique_ptr<Listener>> listeners{};
  std::size_t connections() const {
    std::size_t n = 0;
    for (const auto& listener : listeners) n += listener->connections();
    return n;
  }
};

Result<std::unique_ptr<HttpServer>> HttpServer::listen(EventLoops& loops, const ListenAddress& address,
                                                       const HttpServerOptions& options,
                                                       std::vector<HttpHandler> handlers,
                                                       MetricsRegistry& metrics) {
  auto endpoint = resolve(address);
  if (!endpoint) return endpoint.error();
  auto impl = std::make_unique<Impl>(Impl{options, address});
  for (std::size_t i = 0; i < loops.size(); ++i) {
    auto listener =
        std::make_unique<Listener>(loops[i], impl->options, std::move(handlers.at(i)), metrics, i,
                                   std::max<std::size_t>(1, options.max_connections / loops.size()));
    if (auto opened = listener->open(*endpoint); !opened)
      return opened.error();  // port 0 becomes the one it got
    listener->start();
    impl->listeners.push_back(std::move(listener));
  }
  impl->address.port = endpoint->port();
  if (impl->address.host.empty()) impl->address.host = "0.0.0.0";
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  for (auto& listener : impl_->listeners) listener->close_all();
}

const ListenAddress& HttpServer::address() const {
  return impl_->address;
}

std::size_t HttpServer::connections() const {
  return impl_->connections();
}

void HttpServer::begin_drain() {
  for (auto& listener : impl_->listeners) listener->begin_drain();
}

bool HttpServer::await_drained(Duration at_most) {
  // Draining happens once and takes seconds: looking every few milliseconds is enough.
  const auto end = std::chrono::steady_clock::now() + at_most;
  while (connections() > 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  return connections() == 0;
}

}  // namespace flux::runtime
