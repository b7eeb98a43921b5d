#include "cli/commands/local_stack.hpp"

#include <boost/json.hpp>
#include <filesystem>

#include "common/http/http_client.hpp"
#include "daemons/supervisor/run_supervisor.hpp"

namespace flux::cli {
namespace json = boost::json;

Result<std::string> ask_supervisor(Context& context, const std::string& method, const std::string& path,
                                   const std::string& body, Duration timeout) {
  const auto config = context.config();
  if (!config) return config.error();
  http::ClientRequest request;
  request.url = "http://flux" + path;
  request.method = method;
  request.body = body;
  request.timeout = timeout;
  request.unix_socket = supervisor::control_socket_path((*config)->data);
  std::error_code ec;
  const Error no_stack{Errc::not_found, "flux is not up in " + (*config)->data,
                       "start it with 'flux up', or name its directory with --data"};
  if (!std::filesystem::exists(request.unix_socket, ec)) return no_stack;
  auto reply = http::request_blocking(std::move(request));
  if (!reply) return reply.error().code == Errc::unavailable ? no_stack : reply.error();
  if (reply->status < 400) return reply->body;
  boost::system::error_code parse_error;
  const json::value document = json::parse(reply->body, parse_error);
  const auto text = [&](const char* member) -> std::string {
    const auto* object = document.if_object();
    const auto* error = object != nullptr ? object->if_contains("error") : nullptr;
    const auto* value =
        error != nullptr && error->is_object() ? error->get_object().if_contains(member) : nullptr;
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
  };
  const Errc code = reply->status == 404   ? Errc::not_found
                    : reply->status == 409 ? Errc::conflict
                                           : Errc::invalid_argument;
  return Error{code, text("message").empty() ? "the supervisor refused" : text("message"), text("hint")};
}

}  // namespace flux::cli
