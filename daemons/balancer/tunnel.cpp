// After a 101 both sides speak their own protocol: bytes are passed on as they
// come, each way with back-pressure and its own end.

#include "daemons/balancer/client_connection.hpp"
#include "daemons/balancer/exchange.hpp"
#include "daemons/balancer/upstream_connection.hpp"
#include "daemons/balancer/worker.hpp"

namespace flux::balancer {

void Exchange::open_tunnel(char* rest, std::size_t size) {
  tunnel_ = Tunnel::open;
  worker_.count_tunnel();
  worker_.dispatch().free_place(*this);
  if (size != 0) {
    const iovec piece{rest, size};
    client_.send(&piece, 1);
  }
  client_.clear_deadline();
  run_tunnel();
}

void Exchange::run_tunnel() {
  const auto broken = [this] {
    record_end();
    leave_upstream(false);
    client_.abort();
  };
  if (ended_) return;
  connection_->set_deadline(worker_.loop().timers(),
                            worker_.loop().now_ms() + worker_.settings().upstream.tunnel_idle_ms);
  if (!connection_->flush()) return broken();
  while (!client_half_closed_ && client_.readable() && connection_->out.empty()) {
    const IoResult result = client_.read(worker_.client_buffer(), Worker::kBufferSize);
    if (result.state == IoState::blocked) break;
    if (result.state == IoState::failed) return broken();
    if (result.state == IoState::closed) {
      client_half_closed_ = true;
      break;
    }
    bytes_in_ += result.bytes;
    const iovec piece{worker_.client_buffer(), result.bytes};
    if (!connection_->send(&piece, 1)) return broken();
  }
  while (!upstream_half_closed_ && connection_->readable() && client_.drained()) {
    const IoResult result = connection_->read(worker_.upstream_buffer(), Worker::kBufferSize);
    if (result.state == IoState::blocked) break;
    if (result.state == IoState::failed) return broken();
    if (result.state == IoState::closed) {
      upstream_half_closed_ = true;
      client_.shutdown_write();
      break;
    }
    bytes_out_ += result.bytes;
    const iovec piece{worker_.upstream_buffer(), result.bytes};
    client_.send(&piece, 1);
    if (client_.peer_gone()) return broken();
  }
  if (client_half_closed_ && connection_->out.empty()) connection_->shutdown_write();
  if (client_half_closed_ && upstream_half_closed_ && connection_->out.empty() && client_.drained()) {
    keep_client_ = false;
    record_end();
    leave_upstream(false);
    client_.exchange_done(true, true);
  }
}

}  // namespace flux::balancer
