#include "daemons/balancer/upstream_connection.hpp"

#include <sys/epoll.h>

#include "daemons/balancer/exchange.hpp"
#include "daemons/balancer/worker.hpp"

namespace flux::balancer {

UpstreamConnection::UpstreamConnection(Worker& worker, UpstreamSlot& slot, OwnedFd fd)
    : worker_(worker), slot_(slot), fd_(std::move(fd)) {}

UpstreamConnection* UpstreamConnection::open(Worker& worker, UpstreamSlot& slot, int& failure) {
  OwnedFd fd = start_connect(slot.shared->address, failure);
  if (!fd) return nullptr;
  auto connection = std::unique_ptr<UpstreamConnection>(new UpstreamConnection(worker, slot, std::move(fd)));
  if (!worker.loop().watch(connection->fd(), connection.get())) {
    failure = errno;
    return nullptr;
  }
  slot.counters->connects.add();
  return connection.release();  // owns itself until close()
}

void UpstreamConnection::link_busy() {
  previous_ = nullptr;
  next_ = slot_.busy;
  if (next_ != nullptr) next_->previous_ = this;
  slot_.busy = this;
}

void UpstreamConnection::unlink() {
  UpstreamConnection*& head = is_idle_ ? slot_.idle : slot_.busy;
  if (previous_ != nullptr)
    previous_->next_ = next_;
  else if (head == this)
    head = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  next_ = previous_ = nullptr;
}

void UpstreamConnection::serve(Exchange& exchange) {
  exchange_ = &exchange;
  ++uses_;
  link_busy();
  const UpstreamLimits& limits = worker_.settings().upstream;
  set_deadline(worker_.loop().timers(), worker_.loop().now_ms() + (connected_ ? limits.response_timeout_ms
                                                                              : limits.connect_timeout_ms));
}

void UpstreamConnection::finish(bool reusable, std::int64_t keep_ms) {
  if (!reusable || !slot_.listed || peer_closed_ || !out.empty() || !in.empty() || worker_.draining())
    return close();
  unlink();
  exchange_ = nullptr;
  is_idle_ = true;
  next_ = slot_.idle;
  if (next_ != nullptr) next_->previous_ = this;
  slot_.idle = this;
  idle_since_ms_ = worker_.loop().now_ms();
  set_deadline(worker_.loop().timers(), idle_since_ms_ + keep_ms);
}

void UpstreamConnection::close() {
  if (!fd_) return;
  unlink();
  exchange_ = nullptr;
  clear_deadline();
  fd_.close();
  out.clear();
  in.clear();
  worker_.loop().bury(std::unique_ptr<Mortal>(this));
}

IoResult UpstreamConnection::read(char* into, std::size_t size) {
  const IoResult result = read_some(fd(), into, size);
  // Edge-triggered: less than asked for means empty, unless the peer's close waits behind it.
  if (result.state == IoState::blocked || (result.bytes < size && !peer_closed_)) readable_ = false;
  return result;
}

bool UpstreamConnection::send(const iovec* pieces, std::size_t count) {
  std::size_t taken = 0;
  if (out.empty()) {
    const IoResult result = write_some(fd(), pieces, count);
    if (result.state == IoState::failed) return false;
    taken = result.bytes;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t skip = taken < pieces[i].iov_len ? taken : pieces[i].iov_len;
    taken -= skip;
    out.append(static_cast<const char*>(pieces[i].iov_base) + skip, pieces[i].iov_len - skip);
  }
  return true;
}

bool UpstreamConnection::flush() {
  while (!out.empty()) {
    const iovec piece{out.data(), out.size()};
    const IoResult result = write_some(fd(), &piece, 1);
    if (result.state == IoState::failed) return false;
    if (result.state == IoState::blocked) return true;
    out.consume(result.bytes);
  }
  return true;
}

void UpstreamConnection::shutdown_write() {
  ::shutdown(fd(), SHUT_WR);
}

void UpstreamConnection::on_ready(std::uint32_t events) {
  if (!fd_) return;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) peer_closed_ = true;
  if (exchange_ == nullptr) {
    if (readable_) close();  // closed by the peer, or bytes nobody asked for
    return;
  }
  if (!connected_) {
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
    if (const int error = take_socket_error(fd()); error != 0)
      return exchange_->on_upstream_failed(UpstreamFailure::connect, "connect_failed");
    connected_ = true;
    set_deadline(worker_.loop().timers(),
                 worker_.loop().now_ms() + worker_.settings().upstream.response_timeout_ms);
    exchange_->on_connected();
    if (exchange_ == nullptr || !fd_) return;
  }
  exchange_->on_upstream_ready((events & EPOLLOUT) != 0);
}

void UpstreamConnection::on_deadline() {
  if (!fd_) return;
  if (exchange_ == nullptr) return close();
  exchange_->on_upstream_deadline();
}

}  // namespace flux::balancer
