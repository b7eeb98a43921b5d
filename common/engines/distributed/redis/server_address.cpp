#include "common/engines/distributed/redis/server_address.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>

namespace flux::redis {
namespace {

Error bad_url(const std::string& why) {
  return {Errc::invalid_argument, "redis.url: " + why, "write redis://[user:password@]host[:port][/db]"};
}

bool parse_number(std::string_view text, int& value) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc{} && end == text.data() + text.size() && !text.empty();
}

}  // namespace

Result<RedisUrl> parse_url(const std::string& text) {
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed) return bad_url("this is not a URL");
  const boost::urls::url_view& url = *parsed;
  if (url.scheme() == "rediss") return bad_url("TLS (rediss://) is not supported");
  if (url.scheme() != "redis") return bad_url("the scheme must be redis");
  RedisUrl result;
  result.address.host = url.host_address();
  if (result.address.host.empty()) return bad_url("the host is missing");
  const std::string port{url.port()};
  if (url.has_port() &&
      (!parse_number(port, result.address.port) || result.address.port < 1 || result.address.port > 65535)) {
    return bad_url("the port must be 1 to 65535");
  }
  if (url.has_userinfo()) {
    result.login.user = url.user();
    result.login.password = url.password();
  }
  const std::string path = url.path();
  if (path.size() > 1 &&
      (!parse_number(std::string_view{path}.substr(1), result.login.db) || result.login.db < 0)) {
    return bad_url("the database must be a number");
  }
  return result;
}

Result<ServerAddress> parse_address(std::string_view text) {
  const auto colon = text.rfind(':');
  ServerAddress address;
  if (colon == std::string_view::npos || colon == 0 || !parse_number(text.substr(colon + 1), address.port) ||
      address.port < 1 || address.port > 65535) {
    return Error{Errc::invalid_argument, "\"" + std::string{text} + "\" is not host:port"};
  }
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  address.host = host;
  return address;
}

}  // namespace flux::redis
