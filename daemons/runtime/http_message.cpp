#include "daemons/runtime/http_message.hpp"

namespace flux::runtime {

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [field, value] : headers)
    if (equals_ignoring_case(field, name)) return value;
  return {};
}

HttpResponse problem_response(const HttpRequest& request, Problem problem, int retry_after_s) {
  problem.instance = request.request_id;
  HttpResponse response{
      .status = problem.status, .content_type = kProblemContentType, .body = to_json(problem)};
  if (problem.status == 503 || problem.status == 429)
    response.add_header("Retry-After", std::to_string(retry_after_s));
  return response;
}

}  // namespace flux::runtime
