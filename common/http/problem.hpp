#pragma once
// Problem documents (RFC 9457): what an HTTP client is told when its request
// fails, and the one place where an Error becomes a status.

#include <string>
#include <string_view>

#include "common/core/error.hpp"

namespace flux {

inline constexpr std::string_view kProblemContentType = "application/problem+json";

struct Problem {
  int status = 500;
  std::string detail;      // what is wrong with this request, one sentence
  std::string code{};      // stable word for programs, e.g. "sold_out"
  std::string hint{};      // what to do; left out when empty
  std::string instance{};  // the request id; left out when empty
};

std::string to_json(const Problem& problem);

int http_status_of(Errc code);
// For clients: internal failures keep their details in the log.
Problem problem_of(const Error& error);

// "Not Found"; "Unknown" for a status that HTTP does not name.
std::string_view reason_phrase(int status);

}  // namespace flux
