#include "cli/loadtest/connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace flux::loadtest {
namespace {

constexpr std::uint32_t kMostSources = 32;

Connection::Io tls_state(ssl_st* tls, int result) {
  switch (::SSL_get_error(tls, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return Connection::Io::wait;
    case SSL_ERROR_ZERO_RETURN: return Connection::Io::closed;
    default: ::ERR_clear_error(); return Connection::Io::failed;
  }
}

}  // namespace

void TlsClient::Free::operator()(ssl_ctx_st* context) const {
  ::SSL_CTX_free(context);
}

Result<TlsClient> TlsClient::make() {
  TlsClient client;
  client.context_.reset(::SSL_CTX_new(::TLS_client_method()));
  if (!client.context_) return Error{Errc::internal, "cannot set up TLS"};
  ::SSL_CTX_set_verify(client.context(), SSL_VERIFY_NONE, nullptr);
  // Idle connections give their 34 KiB of record buffers back.
  ::SSL_CTX_set_mode(client.context(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                           SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return client;
}

bool SourceAddresses::bind(int fd) const {
  if (index_ == 0) return true;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in source{};
  source.sin_family = AF_INET;
  source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index_);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) == 0;
}

bool SourceAddresses::next() {
  if (!several_ || index_ + 1 >= kMostSources) return false;
  ++index_;
  return true;
}

Connection::Connection(Connection&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), tls_(std::exchange(other.tls_, nullptr)) {}

Connection& Connection::operator=(Connection&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(tls_, other.tls_);
  return *this;
}

Connection::Io Connection::open(const Target& target, SourceAddresses& sources, int& error) {
  do {
    close();
    fd_ = ::socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) {
      error = errno;
      return Io::failed;
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!sources.bind(fd_)) {
      error = errno;
      close();
      return Io::failed;
    }
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&target.address), target.address_length) == 0 ||
        errno == EINPROGRESS)
      return Io::done;
    error = errno;
  } while (error == EADDRNOTAVAIL && sources.next());
  close();
  return Io::failed;
}

int Connection::connect_error() const {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

Connection::Io Connection::handshake(const TlsClient& client, const Target& target) {
  if (tls_ == nullptr) {
    tls_ = ::SSL_new(client.context());
    if (tls_ == nullptr || ::SSL_set_fd(tls_, fd_) != 1) return Io::failed;
    ::SSL_set_tlsext_host_name(tls_, target.host.c_str());
  }
  const int result = ::SSL_connect(tls_);
  return result == 1 ? Io::done : tls_state(tls_, result);
}

Connection::Transfer Connection::send(std::string_view bytes) {
  if (tls_ != nullptr) {
    const int sent = ::SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()));
    if (sent > 0) return {Io::done, static_cast<std::size_t>(sent)};
    return {tls_state(tls_, sent), 0};
  }
  const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return {Io::done, static_cast<std::size_t>(sent)};
  return {errno == EAGAIN || errno == EINTR ? Io::wait : Io::failed, 0};
}

Connection::Transfer Connection::receive(char* buffer, std::size_t size) {
  if (tls_ != nullptr) {
    const int got = ::SSL_read(tls_, buffer, static_cast<int>(size));
    if (got > 0) return {Io::done, static_cast<std::size_t>(got)};
    return {tls_state(tls_, got), 0};
  }
  const auto got = ::recv(fd_, buffer, size, 0);
  if (got > 0) return {Io::done, static_cast<std::size_t>(got)};
  if (got == 0) return {Io::closed, 0};
  return {errno == EAGAIN || errno == EINTR ? Io::wait : Io::failed, 0};
}

void Connection::close() {
  if (tls_ != nullptr) {
    ::SSL_free(tls_);
    tls_ = nullptr;
  }
  if (fd_ >= 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

}  // namespace flux::loadtest
