#include "daemons/balancer/client_connection.hpp"

#include <sys/epoll.h>

#include "daemons/balancer/exchange.hpp"
#include "daemons/balancer/proxy_protocol.hpp"
#include "daemons/balancer/worker.hpp"

namespace flux::balancer {
namespace {

constexpr std::int64_t kDrainGraceMs = 1'000;

}  // namespace

ClientConnection::ClientConnection(Worker& worker, OwnedFd fd, const SocketAddress& peer)
    : worker_(worker),
      fd_(std::move(fd)),
      address_(peer.host()),
      trusted_(!worker.settings().trusted.empty() && worker.settings().trusted.contains(peer)),
      awaits_proxy_header_(worker.settings().proxy_protocol) {}

ClientConnection::~ClientConnection() = default;

bool ClientConnection::start() {
  set_deadline(worker_.loop().timers(),
               worker_.loop().now_ms() + worker_.settings().client.header_timeout_ms);
  return worker_.loop().watch(fd(), this);
}

void ClientConnection::on_ready(std::uint32_t events) {
  if (!fd_) return;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) peer_closed_ = true;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    peer_reset_ = true;
    return close();
  }
  if ((events & EPOLLOUT) != 0 && !out_.empty()) {
    flush();
    if (!fd_) return;
    if (out_.empty() && exchange_) exchange_->on_client_drained();
    if (!fd_) return;
  }
  switch (phase_) {
    case Phase::head: next_request(); break;
    case Phase::exchange:
      if (readable_) exchange_->on_client_readable();
      break;
    case Phase::closing:
    case Phase::lingering: finish_closing(); break;
  }
}

IoResult ClientConnection::read(char* into, std::size_t size) {
  if (!in_.empty()) {
    const std::size_t n = std::min(size, in_.size());
    std::memcpy(into, in_.data(), n);
    in_.consume(n);
    return {IoState::done, n};
  }
  const IoResult result = read_some(fd(), into, size);
  // Edge-triggered: less than asked for means empty, unless the peer's close waits behind it.
  if (result.state == IoState::blocked || (result.bytes < size && !peer_closed_)) readable_ = false;
  return result;
}

void ClientConnection::put_back(const char* bytes, std::size_t size) {
  if (in_.empty()) {
    in_.append(bytes, size);
    return;
  }
  // read() gave the beginning of in_ away: what comes back goes before the rest.
  const std::string rest(in_.view());
  in_.clear();
  in_.append(bytes, size);
  in_.append(rest);
}

void ClientConnection::read_head() {
  // A head that came in pieces is completed in the thread's buffer.
  char* const buffer = worker_.client_buffer();
  std::size_t size = in_.take_all(buffer);
  if (readable_ && size < Worker::kBufferSize) {
    const IoResult result = read_some(fd(), buffer + size, Worker::kBufferSize - size);
    if (result.state == IoState::failed || result.state == IoState::closed) return close();
    if (result.state == IoState::blocked || (result.bytes < Worker::kBufferSize - size && !peer_closed_))
      readable_ = false;
    size += result.bytes;
  }
  char* data = buffer;
  if (size != 0 && awaits_proxy_header_ && !take_proxy_header(data, size)) return;
  if (size != 0) take_head(data, size);
}

// False: there is nothing behind it to look at yet.
bool ClientConnection::take_proxy_header(char*& data, std::size_t& size) {
  const ProxyHeader header = parse_proxy_header({data, size});
  if (header.state == ProxyHeader::State::broken) return close(), false;
  if (header.state == ProxyHeader::State::incomplete) {
    in_.append(data, size);
    return false;
  }
  awaits_proxy_header_ = false;
  if (header.source) address_ = header.source->host();
  if (!worker_.take_place(*this)) return close(), false;
  data += header.length;
  size -= header.length;
  return true;
}

void ClientConnection::take_head(char* data, std::size_t size) {
  // One empty line before a request is forgiven (RFC 9112 section 2.2).
  const std::size_t skip = !head_begun_ && size >= 2 && data[0] == '\r' && data[1] == '\n' ? 2 : 0;
  if (size == 1 && !head_begun_ && data[0] == '\r') {
    in_.append(data, size);
    return;
  }
  data += skip;
  size -= skip;
  if (size == 0) return;
  const ScanState state = scan_.feed({data, size}, worker_.settings().client.head);
  if (state == ScanState::refused) return refuse(scan_.refusal);
  if (state == ScanState::incomplete) {
    in_.append(data, size);
    if (!head_begun_) {  // the whole head has this long, however slowly it comes
      head_begun_ = true;
      set_deadline(worker_.loop().timers(),
                   worker_.loop().now_ms() + worker_.settings().client.header_timeout_ms);
    }
    if (peer_closed_ && readable_) close();
    return;
  }
  const std::size_t length = scan_.length;
  scan_ = {};
  head_begun_ = false;
  clear_deadline();
  RequestHead head;
  const Refusal refusal = parse_request_head({data, length}, worker_.hash_field(), head);
  if (!refusal.reason.empty()) return refuse(refusal);
  phase_ = Phase::exchange;
  worker_.count_request();
  exchange_ = std::make_unique<Exchange>(worker_, *this);
  exchange_->begin(head, data + length, size - length);
}

void ClientConnection::refuse(const Refusal& refusal) {
  worker_.count_refused();
  phase_ = Phase::exchange;
  exchange_ = std::make_unique<Exchange>(worker_, *this);
  exchange_->refuse_head(refusal);
}

void ClientConnection::send(const iovec* pieces, std::size_t count) {
  std::size_t taken = 0;
  if (!fd_) return;
  if (out_.empty()) {
    const IoResult result = write_some(fd(), pieces, count);
    if (result.state == IoState::failed) {
      peer_reset_ = true;
      return;
    }
    taken = result.bytes;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t skip = std::min(taken, pieces[i].iov_len);
    taken -= skip;
    out_.append(static_cast<const char*>(pieces[i].iov_base) + skip, pieces[i].iov_len - skip);
  }
  if (!out_.empty() && !has_deadline()) watch_rate();
}

void ClientConnection::flush() {
  while (!out_.empty()) {
    const iovec piece{out_.data(), out_.size()};
    const IoResult result = write_some(fd(), &piece, 1);
    if (result.state == IoState::failed) {
      peer_reset_ = true;
      return close();
    }
    if (result.state == IoState::blocked) return;
    body_bytes_ += result.bytes;
    out_.consume(result.bytes);
  }
}

void ClientConnection::expect_body() {
  awaiting_body_ = true;
  watch_rate();
}

void ClientConnection::watch_rate() {
  body_bytes_ = 0;
  set_deadline(worker_.loop().timers(), worker_.loop().now_ms() + worker_.settings().client.body_grace_ms);
}

void ClientConnection::body_done() {
  awaiting_body_ = false;
  if (out_.empty()) clear_deadline();
}

void ClientConnection::exchange_done(bool close_after, bool request_was_read) {
  worker_.loop().bury(std::move(exchange_));
  if (!fd_) return;
  if (peer_reset_) return close();
  awaiting_body_ = false;
  if (close_after || worker_.draining()) {
    linger_ = !request_was_read || !in_.empty() || readable_;
    phase_ = Phase::closing;
    return finish_closing();
  }
  phase_ = Phase::head;
  set_deadline(worker_.loop().timers(), worker_.loop().now_ms() + worker_.settings().client.idle_timeout_ms);
  if (in_.empty() && !readable_) return;
  // The next request is here already; not from within this one's events.
  worker_.loop().soon([this] {
    if (fd_ && phase_ == Phase::head) next_request();
  });
}

void ClientConnection::next_request() {
  // A client that does not take its answers gets no more of them made.
  if (out_.empty() && (readable_ || (!in_.empty() && !head_begun_ && !awaits_proxy_header_))) read_head();
}

void ClientConnection::finish_closing() {
  if (!fd_) return;
  if (phase_ == Phase::closing) {
    if (!out_.empty()) {
      if (!has_deadline()) watch_rate();
      return;
    }
    if (!linger_) return close();
    // Closing with unread input would reset the connection and could take the
    // answer with it: say that we are done, and read until the client is too.
    phase_ = Phase::lingering;
    shutdown_write();
    set_deadline(worker_.loop().timers(), worker_.loop().now_ms() + worker_.settings().client.linger_ms);
  }
  in_.clear();
  while (readable_) {
    const IoResult result = read_some(fd(), worker_.client_buffer(), Worker::kBufferSize);
    if (result.state == IoState::blocked) {
      readable_ = false;
    } else if (result.state != IoState::done) {
      return close();
    }
  }
}

void ClientConnection::on_deadline() {
  if (!fd_) return;
  const ClientLimits& limits = worker_.settings().client;
  if (phase_ == Phase::head && head_begun_) {
    return refuse({408, "request head too slow"});
  }
  if (phase_ == Phase::exchange || phase_ == Phase::closing) {
    const bool for_client = !out_.empty();
    const bool for_body = awaiting_body_ && exchange_ && exchange_->wants_request_body();
    if (!for_client && !awaiting_body_) return;
    const auto least = static_cast<std::uint64_t>(limits.body_rate * limits.body_grace_ms / 1000);
    if (body_bytes_ >= least || (!for_client && !for_body)) return watch_rate();
    worker_.count_slow_client();
    if (exchange_ && !for_client) return exchange_->on_request_too_slow();
    return abort();
  }
  close();
}

void ClientConnection::shutdown_write() {
  ::shutdown(fd(), SHUT_WR);
}

void ClientConnection::abort() {
  if (!fd_) return;
  const linger reset{1, 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close();
}

void ClientConnection::close() {
  if (!fd_) return;
  clear_deadline();
  if (exchange_) {
    exchange_->on_client_gone();
    worker_.loop().bury(std::move(exchange_));
  }
  fd_.close();
  in_.clear();
  out_.clear();
  worker_.forget(*this);
}

void ClientConnection::drain() {
  // A request may be on its way: it is answered, and told that it was the last one.
  if (phase_ == Phase::head && !head_begun_)
    set_deadline(worker_.loop().timers(), worker_.loop().now_ms() + kDrainGraceMs);
}

}  // namespace flux::balancer
