#pragma once
// One client connection: reads request heads in order, starts an exchange for
// each, and closes without losing the last answer.

#include <memory>
#include <string>

#include "daemons/balancer/byte_queue.hpp"
#include "daemons/balancer/event_loop.hpp"
#include "daemons/balancer/head_scan.hpp"
#include "daemons/balancer/sockets.hpp"

namespace flux::balancer {

class Exchange;
class Worker;

class ClientConnection final : public Watched, public Timer {
 public:
  ClientConnection(Worker& worker, OwnedFd fd, const SocketAddress& peer);
  ~ClientConnection() override;

  bool start();  // false: the loop did not take it
  // Of the client: the peer's, or what its PROXY header says.
  const std::string& address() const { return address_; }
  bool trusted() const { return trusted_; }
  int fd() const { return fd_.get(); }
  bool open() const { return static_cast<bool>(fd_); }
  bool peer_gone() const { return peer_reset_; }
  bool drained() const { return out_.empty(); }

  // Sends to the client, keeping what the socket does not take now.
  void send(const iovec* pieces, std::size_t count);
  // Reads request body (or tunnelled) bytes: first those that came with the head.
  IoResult read(char* into, std::size_t size);
  bool readable() const { return readable_ || !in_.empty(); }
  bool read_closed() const { return peer_closed_; }
  // Gives bytes back that belong to the next request.
  void put_back(const char* bytes, std::size_t size);

  // The exchange is over; `close`: this was the connection's last one.
  void exchange_done(bool close, bool request_was_read);
  // An answer that cannot be completed: the client must notice.
  void abort();
  void shutdown_write();
  // From now on the client owes body bytes, at the least rate.
  void expect_body();
  void count_body(std::size_t bytes) { body_bytes_ += bytes; }
  void body_done();

  // The worker stops: idle connections end now, busy ones after their answer.
  void drain();

  // Ends a head that cannot be forwarded, with an answer of our own.
  void refuse(const Refusal& refusal);

 private:
  friend class Worker;
  enum class Phase : std::uint8_t { head, exchange, closing, lingering };

  void on_ready(std::uint32_t events) override;
  void on_deadline() override;
  void next_request();
  void watch_rate();
  void read_head();
  bool take_proxy_header(char*& data, std::size_t& size);
  void take_head(char* data, std::size_t size);
  void flush();
  void finish_closing();
  void close();

  Worker& worker_;
  OwnedFd fd_;
  Phase phase_ = Phase::head;
  bool readable_ = false;
  bool peer_closed_ = false;  // it sends no more
  bool peer_reset_ = false;   // it is gone both ways
  bool linger_ = false;
  bool head_begun_ = false;
  bool awaiting_body_ = false;
  HeadScan scan_;
  ByteQueue in_;   // read, but not yet used
  ByteQueue out_;  // not yet taken by the socket
  std::unique_ptr<Exchange> exchange_;
  std::uint64_t body_bytes_ = 0;      // either way, since the last look at the rate
  ClientConnection* next_ = nullptr;  // of the worker's list
  ClientConnection* previous_ = nullptr;
  std::string address_;
  bool trusted_ = false;  // its X-Forwarded-* are believed
  bool awaits_proxy_header_ = false;
  bool counted_ = false;  // has a place under the cap per address
};

}  // namespace flux::balancer
