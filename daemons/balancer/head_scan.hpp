#pragma once
// The first look at the bytes of a message head, before Beast parses it. Beast
// accepts more than a proxy may forward (bare line feeds, folded lines, spaces
// before the colon); whatever two parsers could read differently is refused here.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flux::balancer {

struct HeadLimits {
  std::size_t bytes = 32 << 10;  // the whole head, start line included
  std::size_t fields = 100;
};

// Why a message was refused: the status for the client (when it is a request)
// and a short stable phrase for X-Flux-Reason and the log.
struct Refusal {
  int status = 400;
  std::string_view reason;
};

enum class ScanState { incomplete, complete, refused };

// Remembers how far a head was looked at, so that one that arrives byte by byte
// is not read again from its start.
struct HeadScan {
  std::size_t line = 0;    // where the first line not yet complete begins
  std::size_t lines = 0;   // complete lines so far, the start line included
  std::size_t length = 0;  // of the head with its empty line, once complete
  Refusal refusal{};

  ScanState feed(std::string_view bytes, const HeadLimits& limits);
};

bool is_token_char(char c);
bool is_token(std::string_view text);

}  // namespace flux::balancer
