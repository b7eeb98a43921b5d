#pragma once
// X-Request-Id: taken over from the client when it is harmless, else made.

#include <string>
#include <string_view>

#include "common/core/ids.hpp"

namespace flux {

// 1 to 128 characters of A-Z a-z 0-9 . _ - : / + = and @: nothing that could
// break a header, a log line or a terminal.
inline bool is_valid_request_id(std::string_view id) {
  if (id.empty() || id.size() > 128) return false;
  for (const char c : id)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
          std::string_view("._-:/+=@").find(c) != std::string_view::npos))
      return false;
  return true;
}

inline std::string request_id_of(std::string_view header) {
  return is_valid_request_id(header) ? std::string(header) : new_uuid().to_string();
}

}  // namespace flux
