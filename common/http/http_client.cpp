#include "common/http/http_client.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <filesystem>
#include <optional>

#include "common/core/units.hpp"

namespace flux::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using UnixStream = beast::basic_stream<asio::local::stream_protocol>;

struct Target {
  std::string host;
  std::string port;
  std::string path;
  std::string authority;
  bool tls = false;
};

Result<Target> parse_target(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->host().empty())
    return Error{Errc::invalid_argument, "not an HTTP URL: '" + text + "'",
                 "write it like http://127.0.0.1:8080/path"};
  Target target;
  target.tls = url->scheme() == "https";
  target.host = url->host_address();
  target.port = url->has_port() ? std::string(url->port()) : target.tls ? "443" : "80";
  target.path = url->encoded_target().empty() ? "/" : std::string(url->encoded_target());
  if (target.path.front() != '/') target.path.insert(0, "/");
  target.authority = url->encoded_host_and_port();
  return target;
}

Error network_error(const std::string& where, const error_code& ec, Duration timeout) {
  if (ec == beast::error::timeout || ec == asio::error::timed_out)
    return {Errc::timed_out, "no answer from " + where + " within " + format_duration(timeout), "", true};
  return {Errc::unavailable, "cannot reach " + where + " (" + ec.message() + ")", "", true};
}

template <class Stream>
asio::awaitable<error_code> exchange(Stream& stream, const ClientRequest& request, const Target& target,
                                     ClientReply& reply) {
  error_code ec;
  beast::http::request<beast::http::string_body> message;
  message.method_string(request.method);
  message.target(target.path);
  message.version(11);
  message.set(beast::http::field::host, target.authority);
  message.set(beast::http::field::connection, "close");
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.body() = request.body;
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") message.prepare_payload();
  co_await beast::http::async_write(stream, message, asio::redirect_error(asio::use_awaitable, ec));
  if (ec) co_return ec;

  beast::flat_buffer buffer;
  beast::http::response_parser<beast::http::string_body> parser;
  parser.body_limit(request.max_body);
  if (request.method == "HEAD") parser.skip(true);
  co_await beast::http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, ec));
  if (ec) co_return ec;
  auto& answer = parser.get();
  reply.status = static_cast<int>(answer.result_int());
  for (const auto& field : answer) reply.headers.emplace_back(field.name_string(), field.value());
  reply.body = std::move(answer.body());
  co_return error_code{};
}

// A path longer than sockaddr_un allows is reached through its directory's descriptor.
class SocketPath {
 public:
  explicit SocketPath(const std::string& path) : text_(path) {
    if (path.size() < 100) return;
    const std::filesystem::path full(path);
    directory_ = ::open(full.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory_ >= 0)
      text_ = "/proc/self/fd/" + std::to_string(directory_) + "/" + full.filename().string();
  }
  SocketPath(const SocketPath&) = delete;
  SocketPath& operator=(const SocketPath&) = delete;
  ~SocketPath() {
    if (directory_ >= 0) ::close(directory_);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  int directory_ = -1;
};

asio::awaitable<Result<ClientReply>> request_over_unix(ClientRequest request, Target target) {
  ClientReply reply;
  error_code ec;
  const SocketPath path(request.unix_socket);
  UnixStream stream(co_await asio::this_coro::executor);
  stream.expires_after(request.timeout);
  if (path.text().size() >= 108)
    co_return Error{Errc::invalid_argument, "socket path too long: " + request.unix_socket,
                    "use a shorter --data"};
  co_await stream.async_connect(asio::local::stream_protocol::endpoint(path.text()),
                                asio::redirect_error(asio::use_awaitable, ec));
  if (!ec) ec = co_await exchange(stream, request, target, reply);
  if (ec) co_return network_error(request.unix_socket, ec, request.timeout);
  co_return reply;
}

asio::awaitable<Result<ClientReply>> request_over_tcp(ClientRequest request, Target target) {
  const auto executor = co_await asio::this_coro::executor;
  const std::string where = target.host + ":" + target.port;
  ClientReply reply;
  error_code ec;
  tcp::resolver::results_type endpoints;
  if (const auto address = asio::ip::make_address(target.host, ec); !ec) {
    endpoints = tcp::resolver::results_type::create(
        tcp::endpoint(address, static_cast<std::uint16_t>(std::atoi(target.port.c_str()))), target.host,
        target.port);
  } else {
    tcp::resolver resolver(executor);
    endpoints = co_await resolver.async_resolve(target.host, target.port,
                                                asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return network_error(where, ec, request.timeout);
  }
  beast::tcp_stream stream(executor);
  stream.expires_after(request.timeout);
  co_await stream.async_connect(endpoints, asio::redirect_error(asio::use_awaitable, ec));
  if (ec) co_return network_error(where, ec, request.timeout);
  stream.socket().set_option(tcp::no_delay(true), ec);
  if (!target.tls) {
    ec = co_await exchange(stream, request, target, reply);
  } else {
    asio::ssl::context context(asio::ssl::context::tls_client);
    context.set_default_verify_paths(ec);
    context.set_verify_mode(request.verify_tls ? asio::ssl::verify_peer : asio::ssl::verify_none);
    beast::ssl_stream<beast::tcp_stream&> secure(stream, context);
    SSL_set_tlsext_host_name(secure.native_handle(), target.host.c_str());
    if (request.verify_tls) SSL_set1_host(secure.native_handle(), target.host.c_str());
    co_await secure.async_handshake(asio::ssl::stream_base::client,
                                    asio::redirect_error(asio::use_awaitable, ec));
    if (!ec) ec = co_await exchange(secure, request, target, reply);
  }
  if (ec) co_return network_error(where, ec, request.timeout);
  co_return reply;
}

}  // namespace

std::string_view ClientReply::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (beast::iequals(key, name)) return value;
  return "";
}

asio::awaitable<Result<ClientReply>> request(ClientRequest request) {
  auto target = parse_target(request.url);
  if (!target) co_return target.error();
  if (!request.unix_socket.empty())
    co_return co_await request_over_unix(std::move(request), std::move(*target));
  co_return co_await request_over_tcp(std::move(request), std::move(*target));
}

Result<ClientReply> request_blocking(ClientRequest wanted) {
  asio::io_context loop(1);
  std::optional<Result<ClientReply>> result;
  const auto longest = wanted.timeout + std::chrono::seconds{1};
  const std::string url = wanted.url;
  asio::co_spawn(loop, request(std::move(wanted)),
                 [&](std::exception_ptr failure, Result<ClientReply> reply) {
                   if (failure) reply = Error{Errc::internal, "request to " + url + " failed unexpectedly"};
                   result.emplace(std::move(reply));
                 });
  loop.run_for(longest);  // name resolution has no deadline of its own
  if (!result) return Error{Errc::timed_out, "no answer from " + url, "", true};
  return std::move(*result);
}

}  // namespace flux::http
