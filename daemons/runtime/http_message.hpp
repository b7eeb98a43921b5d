#pragma once
// One HTTP request as handlers see it, and the response they give.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/core/clock.hpp"
#include "common/http/problem.hpp"
#include "common/tracing/trace_context.hpp"

namespace flux::runtime {

// Valid until the response is given; views point into memory that the session keeps.
struct HttpRequest {
  std::string_view method;  // "GET"; a HEAD request arrives as GET with head_only
  std::string_view target;  // as sent, without scheme and host
  std::string_view path;    // target up to '?', not decoded
  std::string_view query;   // target after '?'
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::string body;
  std::string_view peer;  // address of the other end, without port
  bool keep_alive = true;
  bool http_1_0 = false;
  bool head_only = false;

  std::string request_id;
  TraceContext trace;  // this request's span
  SteadyTime received{};

  std::string_view route = "unmatched";  // label for metrics, static text
  std::vector<std::string> params;       // what the route's {parts} matched, decoded

  // First field of that name, "" when missing; names compare without case.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string_view content_type = "application/json";  // static text
  std::string body{};
  std::shared_ptr<const std::string> shared_body{};  // instead of body, when many responses share it
  std::string headers{};                             // complete lines, each ended by CRLF
  bool close = false;

  void add_header(std::string_view name, std::string_view value) {
    headers.append(name).append(": ").append(value).append("\r\n");
  }
  std::string_view content() const { return shared_body ? std::string_view(*shared_body) : body; }
};

// Fills in the request's id. A 503 or 429 without its own Retry-After says 1 second.
HttpResponse problem_response(const HttpRequest& request, Problem problem, int retry_after_s = 1);

// A response at once, or a coroutine that runs on the connection's loop.
using HttpAnswer = std::variant<HttpResponse, boost::asio::awaitable<HttpResponse>>;
using HttpHandler = std::function<HttpAnswer(HttpRequest&)>;

bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace flux::runtime
