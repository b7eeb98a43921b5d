#pragma once
// One response head from an upstream, read with Beast and checked as strictly as
// requests are. Views point into the bytes it was read from.

#include <cstdint>
#include <string_view>

#include "daemons/balancer/request_head.hpp"

namespace flux::balancer {

struct ResponseHead {
  int status = 0;
  bool http11 = true;
  bool keep_alive = true;             // the upstream leaves its connection open
  std::string_view status_line_rest;  // " 200 OK\r\n"
  BodyFraming framing = BodyFraming::none;
  std::uint64_t content_length = 0;
  bool has_request_id = false;
  bool has_retry_after = false;
  std::uint32_t keep_alive_seconds = 0;  // Keep-Alive: timeout=N; 0: not said
  std::string_view upgrade_to;
  std::string_view transfer_codings;  // as received; not among the kept lines
  KeptLines kept;
};

// `head` is complete and passed HeadScan. Returns "" or what is wrong with it.
std::string_view parse_response_head(std::string_view head, bool answers_head_request, ResponseHead& out);

}  // namespace flux::balancer
