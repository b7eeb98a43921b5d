#pragma once
// A client connection, plain or TLS, that never blocks. It owns no buffers: the
// thread lends its own.

#include <openssl/ossl_typ.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "cli/loadtest/target.hpp"
#include "common/core/result.hpp"

namespace flux::loadtest {

// Shared by all connections of a run; certificates are not verified, as load is
// mostly put on test systems with certificates of their own.
class TlsClient {
 public:
  static Result<TlsClient> make();
  ssl_ctx_st* context() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

// Picks the source addresses of connections. Loopback has a whole network of
// them, so when one runs out of ports the next is taken.
class SourceAddresses {
 public:
  explicit SourceAddresses(const Target& target) : several_(target.is_loopback()) {}
  // Binds `fd` when the system's own choice has run out; false when binding fails.
  bool bind(int fd) const;
  // The current address has no port left: true when there is another to try.
  bool next();

 private:
  bool several_;
  std::uint32_t index_ = 0;  // 0: the system chooses
};

class Connection {
 public:
  enum class Io { done, wait, closed, failed };
  struct Transfer {
    Io state = Io::done;
    std::size_t bytes = 0;
  };

  Connection() = default;
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  ~Connection() { close(); }

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // Starts connecting; done: connected or in progress. `error` is an errno value.
  Io open(const Target& target, SourceAddresses& sources, int& error);
  // After the socket became writable: what became of connecting.
  int connect_error() const;
  Io handshake(const TlsClient& tls, const Target& target);
  Transfer send(std::string_view bytes);
  Transfer receive(char* buffer, std::size_t size);
  void close();

 private:
  int fd_ = -1;
  ssl_st* tls_ = nullptr;
};

}  // namespace flux::loadtest
