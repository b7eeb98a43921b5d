#include "daemons/supervisor/control_server.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json.hpp>
#include <filesystem>

namespace flux::supervisor {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace json = boost::json;
using UnixStream = beast::basic_stream<asio::local::stream_protocol>;
using Request = beast::http::request<beast::http::string_body>;
using Response = beast::http::response<beast::http::string_body>;

struct Answer {
  beast::http::status status = beast::http::status::ok;
  std::string body;
};

Answer refusal(const Error& error) {
  const auto status = error.code == Errc::not_found  ? beast::http::status::not_found
                      : error.code == Errc::conflict ? beast::http::status::conflict
                                                     : beast::http::status::bad_request;
  return {
      status,
      json::serialize(json::value{
          {"error", {{"code", to_string(error.code)}, {"message", error.message}, {"hint", error.hint}}}})};
}

Answer handle(Supervisor& supervisor, const Request& request) {
  if (request.method() == beast::http::verb::get && request.target() == "/status")
    return {beast::http::status::ok, supervisor.status_json()};
  if (request.method() != beast::http::verb::post)
    return refusal({Errc::not_found, "no such control command", "GET /status, POST /scale, POST /down"});

  boost::system::error_code ec;
  const json::value body = json::parse(request.body(), ec);
  if (ec || !body.is_object()) return refusal({Errc::invalid_argument, "the body must be a JSON object"});
  const auto& object = body.get_object();
  const auto whole = [&](const char* key) -> std::optional<std::int64_t> {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_int64() ? std::optional{value->get_int64()} : std::nullopt;
  };
  if (request.target() == "/scale") {
    const auto* service = object.if_contains("service");
    const auto replicas = whole("replicas");
    if (service == nullptr || !service->is_string() || !replicas || *replicas < 0 || *replicas > 1'000'000)
      return refusal({Errc::invalid_argument, "expected {\"service\": text, \"replicas\": number}"});
    const auto scaled = supervisor.scale(std::string(service->get_string()), static_cast<int>(*replicas));
    return scaled ? Answer{beast::http::status::accepted, supervisor.status_json()} : refusal(scaled.error());
  }
  if (request.target() == "/down") {
    supervisor.shut_down(std::chrono::milliseconds{
        std::clamp<std::int64_t>(whole("timeout_ms").value_or(30'000), 0, 3'600'000)});
    return {beast::http::status::accepted, "{}"};
  }
  return refusal({Errc::not_found, "no such control command", "GET /status, POST /scale, POST /down"});
}

asio::awaitable<void> serve(UnixStream stream, Supervisor& supervisor) {
  boost::system::error_code ec;
  beast::flat_buffer buffer;
  Request request;
  stream.expires_after(std::chrono::seconds{5});
  co_await beast::http::async_read(stream, buffer, request, asio::redirect_error(asio::use_awaitable, ec));
  if (ec) co_return;
  const Answer answer = handle(supervisor, request);
  Response response{answer.status, 11};
  response.set(beast::http::field::content_type, "application/json");
  response.keep_alive(false);
  response.body() = answer.body + "\n";
  response.prepare_payload();
  co_await beast::http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, ec));
}

}  // namespace

ControlServer::ControlServer(asio::io_context& loop, Supervisor& supervisor)
    : loop_(loop), supervisor_(supervisor), acceptor_(loop) {}

Result<> ControlServer::listen(const std::string& path) {
  const std::filesystem::path full(path);
  std::error_code ignored;
  std::filesystem::remove(full, ignored);
  // sockaddr_un holds 107 characters; through the directory's descriptor any path fits.
  const int directory = ::open(full.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  const std::string reachable = "/proc/self/fd/" + std::to_string(directory) + "/" + full.filename().string();
  boost::system::error_code ec;
  acceptor_.open(asio::local::stream_protocol(), ec);
  const auto mask = ::umask(0177);
  if (!ec) acceptor_.bind(asio::local::stream_protocol::endpoint(reachable), ec);
  ::umask(mask);
  if (!ec) acceptor_.listen(64, ec);
  ::close(directory);
  if (ec)
    return Error{Errc::internal, "cannot listen on " + path + " (" + ec.message() + ")",
                 "use another --data directory"};
  accept();
  return {};
}

void ControlServer::accept() {
  acceptor_.async_accept([this](boost::system::error_code ec, asio::local::stream_protocol::socket socket) {
    if (ec == asio::error::operation_aborted) return;
    if (!ec) asio::co_spawn(loop_, serve(UnixStream(std::move(socket)), supervisor_), asio::detached);
    accept();
  });
}

}  // namespace flux::supervisor
