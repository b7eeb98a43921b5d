#pragma once
// One HTTP/1.1 request with one deadline, for probes, steps and control sockets.
// Not for load: every call opens a connection of its own.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"

namespace flux::http {

struct ClientRequest {
  std::string url;  // http://host[:port]/path?query or https://…
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  Duration timeout = std::chrono::seconds{5};  // for everything: resolve, connect, answer
  std::string unix_socket{};                   // not empty: connect here; the URL names host and path only
  std::uint64_t max_body = 16 << 20;
  bool verify_tls = true;
};

struct ClientReply {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};

  std::string_view header(std::string_view name) const;  // "" when missing; names compare without case
};

// `invalid_argument` (URL), `unavailable` (resolve, connect, reset, TLS), `timed_out`.
// Any status is a reply, not an error.
boost::asio::awaitable<Result<ClientReply>> request(ClientRequest request);

// The same on a loop of its own; blocks the calling thread until the deadline.
Result<ClientReply> request_blocking(ClientRequest request);

}  // namespace flux::http
