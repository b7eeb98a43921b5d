#pragma once
// "127.0.0.1:8000", ":8080", "[::1]:0": where a daemon listens, and the file in
// which it tells its supervisor the port it got.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace flux::runtime {

struct ListenAddress {
  std::string host;  // "" : every interface
  std::uint16_t port = 0;

  bool is_loopback() const;
  std::string to_string() const;
};

Result<ListenAddress> parse_listen_address(std::string_view text);

// Replaces `file` by one line, "host:port", at once. Does nothing when `file` is "".
Result<> write_address_file(const std::string& file, const std::string& address);

}  // namespace flux::runtime
