#include "daemons/runtime/http_session.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <boost/asio/co_spawn.hpp>
#include <cerrno>
#include <exception>

#include "common/core/log.hpp"
#include "common/http/request_id.hpp"

namespace flux::runtime {
namespace {

constexpr Duration kLinger = std::chrono::seconds{2};

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

// Responses to HEAD, 204 and 304 end with their head.
bool has_content(const HttpRequest& request, int status) {
  return !request.head_only && status != 204 && status != 304 && status >= 200;
}

void write_head(std::string& out, const HttpRequest& request, const HttpResponse& response, bool close,
                const std::string& date) {
  out.clear();
  out += "HTTP/1.1 ";
  out += std::to_string(response.status);
  out += ' ';
  out += reason_phrase(response.status);
  out += "\r\n";
  if (response.status != 204 && response.status != 304) {
    if (!response.content().empty()) {
      out += "Content-Type: ";
      out += response.content_type;
      out += "\r\n";
    }
    out += "Content-Length: ";
    out += std::to_string(response.content().size());
    out += "\r\n";
  }
  out += "Date: ";
  out += date;
  out += "\r\nX-Request-Id: ";
  out += request.request_id;
  out += "\r\ntraceparent: ";
  out += request.trace.traceparent();
  out += "\r\n";
  out += response.headers;
  if (close)
    out += "Connection: close\r\n";
  else if (request.http_1_0)
    out += "Connection: keep-alive\r\n";
  out += "\r\n";
}

}  // namespace

std::unique_ptr<Exchange> HttpLoop::take_exchange() {
  if (spare.empty()) return std::make_unique<Exchange>(options.limits);
  auto exchange = std::move(spare.back());
  spare.pop_back();
  return exchange;
}

void HttpLoop::give_back(std::unique_ptr<Exchange> exchange) {
  constexpr std::size_t kSpare = 256, kKept = 16 << 10;
  if (spare.size() >= kSpare || exchange->unread.capacity() > kKept || exchange->unwritten.capacity() > kKept)
    return;
  exchange->reader.reset();
  exchange->unread.clear();
  exchange->unwritten.clear();
  exchange->response = {};
  spare.push_back(std::move(exchange));
}

HttpSession::HttpSession(HttpLoop& loop, Socket socket, std::string peer)
    : loop_(loop), socket_(std::move(socket)), peer_(std::move(peer)), since_(loop.now) {
  ++loop_.connections;
  loop_.sessions.push_back(*this);
}

HttpSession::~HttpSession() {
  close();
}

void HttpSession::set_phase(Phase phase) {
  if (phase_ == phase) return;
  phase_ = phase;
  since_ = loop_.now;
}

void HttpSession::close() {
  if (phase_ == Phase::closed) return;  // from here the loop may be gone
  set_phase(Phase::closed);
  unlink();
  --loop_.connections;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void HttpSession::begin_drain() {
  if (phase_ == Phase::idle) since_ = loop_.now;  // from here it has the grace
}

void HttpSession::check_deadline(SteadyTime now) {
  const auto& options = loop_.options;
  const Duration waited = now - since_;
  switch (phase_) {
    case Phase::idle:
      if (waited > (loop_.draining ? options.idle_grace : options.idle_timeout)) close();
      break;
    case Phase::reading: {
      const bool body = exchange_ && exchange_->reader.state() == RequestReader::State::body;
      if (waited <= (body ? options.body_timeout : options.header_timeout)) break;
      close_after_ = true;
      exchange_->reader.request().request_id = request_id_of("");
      exchange_->reader.request().trace = TraceContext::start();
      respond(problem_response(exchange_->reader.request(),
                               {408, "the request did not arrive in time", "request_timeout"}));
      break;
    }
    case Phase::writing:
      if (waited > options.write_timeout) close();
      break;
    case Phase::lingering:
      if (waited > kLinger) close();
      break;
    case Phase::handling:  // handlers keep their own deadlines
    case Phase::closed: break;
  }
}

void HttpSession::await_bytes() {
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const boost::system::error_code& ec) {
    if (ec || self->phase_ == Phase::closed) return;
    self->on_readable();
  });
}

void HttpSession::on_readable() {
  // A deadline may have ended the wait for this request; its answer is on the way.
  if (phase_ == Phase::handling || phase_ == Phase::writing) return;
  const auto n = ::recv(socket_.native_handle(), loop_.buffer.data(), loop_.buffer.size(), 0);
  if (n < 0 && would_block(errno)) return await_bytes();
  if (n <= 0) return close();
  if (phase_ == Phase::lingering) return await_bytes();  // what comes now is not for us any more
  on_bytes({loop_.buffer.data(), static_cast<std::size_t>(n)});
}

void HttpSession::on_bytes(std::string_view bytes) {
  if (!exchange_) exchange_ = loop_.take_exchange();
  if (exchange_->unread.empty()) return advance(bytes);
  exchange_->unread.append(bytes);
  const std::string all = std::exchange(exchange_->unread, {});
  advance(all);
}

// Reads, dispatches and answers until it must wait. A loop and not a recursion,
// because one buffer can hold a thousand pipelined requests.
void HttpSession::advance(std::string_view bytes) {
  const auto self = shared_from_this();
  std::string rest;
  advancing_ = true;
  while (read_request(bytes)) {
    if (!response_ready_) dispatch();
    if (!response_ready_) break;  // respond() goes on from here
    response_ready_ = false;
    if (!send_response()) break;
    if (close_after_ || exchange_->unread.empty()) {
      after_response();
      break;
    }
    rest = std::exchange(exchange_->unread, {});
    bytes = rest;
    exchange_->reader.reset();
    exchange_->response = {};
  }
  advancing_ = false;
}

// True: there is a request to dispatch, or a response to send already.
bool HttpSession::read_request(std::string_view bytes) {
  auto& reader = exchange_->reader;
  set_phase(Phase::reading);
  const auto taken = reader.feed(bytes);
  exchange_->unread.assign(bytes.substr(taken));
  switch (reader.state()) {
    case RequestReader::State::header: await_bytes(); return false;
    case RequestReader::State::body:
      if (reader.take_expect_continue()) {
        constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        // A new connection's send buffer takes 25 bytes; if not, the client goes on after its timeout.
        [[maybe_unused]] const auto n =
            ::send(socket_.native_handle(), kContinue.data(), kContinue.size(), MSG_NOSIGNAL);
      }
      await_bytes();
      return false;
    case RequestReader::State::failed:
    case RequestReader::State::complete: break;
  }
  auto& request = reader.request();
  request.received = std::chrono::steady_clock::now();
  request.peer = peer_;
  request.request_id = request_id_of(request.header("x-request-id"));
  request.trace = continue_trace(request.header("traceparent"));
  close_after_ = !request.keep_alive;
  if (reader.state() == RequestReader::State::failed) {
    close_after_ = true;
    exchange_->unread.clear();
    exchange_->response = problem_response(request, reader.problem());
    response_ready_ = true;
  }
  return true;
}

void HttpSession::dispatch() {
  set_phase(Phase::handling);
  auto& request = exchange_->reader.request();
  const auto failed = [this, &request](const std::exception_ptr& thrown) {
    std::string what = "unknown";
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      what = e.what();
    } catch (...) {
    }
    log::error("a handler failed",
               {{"route", std::string(request.route)}, {"request", request.request_id}, {"what", what}});
    respond(problem_response(request, {500, "the server failed to answer this request", "internal"}));
  };
  try {
    auto answer = loop_.handler(request);
    if (auto* response = std::get_if<HttpResponse>(&answer)) return respond(std::move(*response));
    boost::asio::co_spawn(
        loop_.context, std::get<1>(std::move(answer)),
        [self = shared_from_this(), failed](const std::exception_ptr& thrown, HttpResponse response) {
          if (thrown)
            failed(thrown);
          else
            self->respond(std::move(response));
        });
  } catch (...) {
    failed(std::current_exception());
  }
}

void HttpSession::respond(HttpResponse response) {
  if (phase_ == Phase::closed) return;
  exchange_->response = std::move(response);
  response_ready_ = true;
  if (advancing_) return;
  response_ready_ = false;
  if (send_response()) after_response();
}

// True: all of it went out.
bool HttpSession::send_response() {
  auto& request = exchange_->reader.request();
  auto& response = exchange_->response;
  close_after_ = close_after_ || response.close || loop_.draining;
  loop_.metrics.observe(request.route, request.head_only ? "HEAD" : request.method, response.status,
                        request.received == SteadyTime{}
                            ? Duration::zero()
                            : std::chrono::steady_clock::now() - request.received);
  write_head(loop_.head, request, response, close_after_, loop_.date);
  std::string_view head = loop_.head;
  std::string_view content = has_content(request, response.status) ? response.content() : "";
  if (!write_some(head, content)) {
    close();
    return false;
  }
  if (head.empty() && content.empty()) return true;
  exchange_->unwritten.assign(head).append(content);
  set_phase(Phase::writing);
  await_writable();
  return false;
}

// Writes what the socket takes and shortens both parts by it. False: broken.
bool HttpSession::write_some(std::string_view& first, std::string_view& second) {
  iovec parts[2] = {{const_cast<char*>(first.data()), first.size()},
                    {const_cast<char*>(second.data()), second.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = second.empty() ? 1 : 2;
  const auto n = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
  if (n < 0) return would_block(errno);
  const auto written = static_cast<std::size_t>(n);
  const auto of_first = std::min(written, first.size());
  first.remove_prefix(of_first);
  second.remove_prefix(written - of_first);
  return true;
}

void HttpSession::await_writable() {
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const boost::system::error_code& ec) {
    if (ec || self->phase_ != Phase::writing) return;
    auto& unwritten = self->exchange_->unwritten;
    std::string_view left = unwritten, none;
    if (!self->write_some(left, none)) return self->close();
    if (left.size() < unwritten.size()) self->since_ = self->loop_.now;  // it moves
    unwritten.erase(0, unwritten.size() - left.size());
    if (unwritten.empty())
      self->after_response();
    else
      self->await_writable();
  });
}

void HttpSession::after_response() {
  if (close_after_) return linger();
  if (!exchange_->unread.empty()) {
    const std::string bytes = std::exchange(exchange_->unread, {});
    exchange_->reader.reset();
    exchange_->response = {};
    return advance(bytes);
  }
  loop_.give_back(std::move(exchange_));
  phase_ = Phase::idle;
  since_ = loop_.now;
  await_bytes();
}

// Closing with unread bytes would reset the connection, and the client might
// lose the answer: end our side, and wait a moment for it to end its own.
void HttpSession::linger() {
  exchange_.reset();
  boost::system::error_code ec;
  socket_.shutdown(Socket::shutdown_send, ec);
  if (ec) return close();
  set_phase(Phase::lingering);
  await_bytes();
}

}  // namespace flux::runtime
