#pragma once
// One connection to an upstream: serving an exchange, or kept alive for the next.

#include "daemons/balancer/byte_queue.hpp"
#include "daemons/balancer/dispatch.hpp"
#include "daemons/balancer/event_loop.hpp"
#include "daemons/balancer/sockets.hpp"

namespace flux::balancer {

class UpstreamConnection final : public Watched, public Timer {
 public:
  // Starts to connect. nullptr with `failure` (errno) when that failed at once.
  static UpstreamConnection* open(Worker& worker, UpstreamSlot& slot, int& failure);
  ~UpstreamConnection() override = default;

  void serve(Exchange& exchange);
  // Takes it off its exchange: back to the kept ones, or closed.
  void finish(bool reusable, std::int64_t keep_ms);
  void close();

  bool connected() const { return connected_; }
  bool reused() const { return uses_ > 1; }
  bool readable() const { return readable_; }
  void look_again() { readable_ = true; }
  int fd() const { return fd_.get(); }
  Exchange* exchange() const { return exchange_; }
  UpstreamSlot& slot() { return slot_; }

  IoResult read(char* into, std::size_t size);
  // Writes, and keeps what the socket does not take. False: the connection failed.
  bool send(const iovec* pieces, std::size_t count);
  bool flush();
  void shutdown_write();

  ByteQueue out;  // not yet taken by the socket
  ByteQueue in;   // a response head not yet complete

 private:
  friend class Dispatch;
  UpstreamConnection(Worker& worker, UpstreamSlot& slot, OwnedFd fd);
  void on_ready(std::uint32_t events) override;
  void on_deadline() override;
  void link_busy();
  void unlink();

  Worker& worker_;
  UpstreamSlot& slot_;
  OwnedFd fd_;
  Exchange* exchange_ = nullptr;
  UpstreamConnection* next_ = nullptr;  // in slot.idle or slot.busy
  UpstreamConnection* previous_ = nullptr;
  std::int64_t idle_since_ms_ = 0;
  std::uint32_t uses_ = 0;
  bool connected_ = false;
  bool readable_ = false;
  bool peer_closed_ = false;
  bool is_idle_ = false;
};

}  // namespace flux::balancer
