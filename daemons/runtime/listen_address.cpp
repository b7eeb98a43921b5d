#include "daemons/runtime/listen_address.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace flux::runtime {

bool ListenAddress::is_loopback() const {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string ListenAddress::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const Error bad{Errc::invalid_argument, "not an address to listen on: '" + std::string(text) + "'",
                  "write it like 127.0.0.1:8000, :8080 or [::1]:8000"};
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad;
  auto host = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return bad;
  ListenAddress address{std::string(host)};
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (ec != std::errc{} || end != port.data() + port.size() || port.empty()) return bad;
  if (address.host == "*") address.host.clear();
  return address;
}

Result<> write_address_file(const std::string& file, const std::string& address) {
  if (file.empty()) return {};
  const std::string draft = file + ".new";
  const std::string line = address + "\n";
  const auto failed = [&draft] {
    return Error{Errc::exhausted, "cannot write " + draft + ": " + std::strerror(errno),
                 "check the directory of --address-file"};
  };
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return failed();
  const bool written = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (::close(fd) != 0 || !written || std::rename(draft.c_str(), file.c_str()) != 0) return failed();
  return {};
}

}  // namespace flux::runtime
