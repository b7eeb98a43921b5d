#pragma once
// What Redis answers, as values of our own, and the commands as they travel.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

struct redisReply;

namespace flux::redis {

struct Reply {
  enum class Kind : std::uint8_t { nil, integer, text, error, array };
  Kind kind = Kind::nil;
  std::int64_t integer = 0;
  std::string text{};  // of an error: its whole line
  std::vector<Reply> items{};

  bool is_error(std::string_view code) const;  // "MOVED", "NOSCRIPT", …
  std::int64_t to_integer() const;             // also of a text
};

Reply copy_reply(const redisReply& reply);

// One command in the wire's format. Keys and values are length-counted, so no
// byte in them can become anything else.
std::string encode_command(const std::vector<std::string_view>& words);

// An error reply as an Error. `where` names the server.
Error translate_error(const Reply& reply, const std::string& where);
Error unexpected_reply(std::string_view command);

}  // namespace flux::redis
