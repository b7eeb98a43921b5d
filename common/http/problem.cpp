#include "common/http/problem.hpp"

#include <boost/json.hpp>

namespace flux {

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

std::string to_json(const Problem& problem) {
  boost::json::object out{
      {"type", "about:blank"}, {"title", reason_phrase(problem.status)}, {"status", problem.status}};
  const auto add = [&out](std::string_view key, const std::string& value) {
    if (!value.empty()) out[key] = value;
  };
  add("detail", problem.detail);
  add("code", problem.code);
  add("hint", problem.hint);
  add("instance", problem.instance);
  return boost::json::serialize(out);
}

int http_status_of(Errc code) {
  switch (code) {
    case Errc::invalid_argument: return 400;
    case Errc::not_found: return 404;
    case Errc::already_exists:
    case Errc::conflict:
    case Errc::sold_out: return 409;
    case Errc::unauthorized: return 401;
    case Errc::forbidden: return 403;
    case Errc::fenced:
    case Errc::unavailable:
    case Errc::timed_out:
    case Errc::maybe_persisted:
    case Errc::exhausted:
    case Errc::interrupted:
    case Errc::refused: return 503;
    case Errc::corrupted:
    case Errc::threshold:
    case Errc::not_valid:
    case Errc::internal: return 500;
  }
  return 500;
}

Problem problem_of(const Error& error) {
  const int status = http_status_of(error.code);
  Problem problem{status, error.message, std::string(to_string(error.code)), error.hint};
  // Messages of failing engines name addresses and files, which are no client's business.
  if (status == 500) {
    problem.detail = "the server failed to answer this request";
    problem.hint.clear();
  } else if (status == 503) {
    problem.detail = "a needed server is not available at the moment";
    problem.hint = "retry after the time in Retry-After";
  }
  return problem;
}

}  // namespace flux
