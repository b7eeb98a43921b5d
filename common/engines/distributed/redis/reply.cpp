#include "common/engines/distributed/redis/reply.hpp"

#include <hiredis.h>

#include <charconv>

namespace flux::redis {

bool Reply::is_error(std::string_view code) const {
  return kind == Kind::error && text.starts_with(code) &&
         (text.size() == code.size() || text[code.size()] == ' ');
}

std::int64_t Reply::to_integer() const {
  if (kind == Kind::integer) return integer;
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Reply copy_reply(const redisReply& reply) {
  Reply copy;
  switch (reply.type) {
    case REDIS_REPLY_INTEGER:
      copy.kind = Reply::Kind::integer;
      copy.integer = reply.integer;
      break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      copy.kind = Reply::Kind::text;
      copy.text.assign(reply.str, static_cast<std::size_t>(reply.len));
      break;
    case REDIS_REPLY_ERROR:
      copy.kind = Reply::Kind::error;
      copy.text.assign(reply.str, static_cast<std::size_t>(reply.len));
      break;
    case REDIS_REPLY_ARRAY:
      copy.kind = Reply::Kind::array;
      copy.items.reserve(reply.elements);
      for (std::size_t i = 0; i < reply.elements; ++i) copy.items.push_back(copy_reply(*reply.element[i]));
      break;
    default: break;
  }
  return copy;
}

std::string encode_command(const std::vector<std::string_view>& words) {
  std::size_t size = 16;
  for (const std::string_view word : words) size += word.size() + 16;
  std::string wire;
  wire.reserve(size);
  wire.append("*").append(std::to_string(words.size())).append("\r\n");
  for (const std::string_view word : words) {
    wire.append("$").append(std::to_string(word.size())).append("\r\n").append(word).append("\r\n");
  }
  return wire;
}

Error translate_error(const Reply& reply, const std::string& where) {
  const std::string said = "Redis at " + where + ": " + reply.text;
  if (reply.is_error("NOAUTH") || reply.is_error("WRONGPASS")) {
    return {Errc::unauthorized, said, "set user and password in redis.url"};
  }
  if (reply.is_error("NOPERM")) return {Errc::forbidden, said, "give the user the right with ACL SETUSER"};
  if (reply.is_error("OOM")) return {Errc::exhausted, said, "raise maxmemory or add a node", true};
  if (reply.is_error("MISCONF")) return {Errc::exhausted, said, "look at the disk of the Redis server", true};
  for (const char* passing : {"LOADING", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "NOREPLICAS", "TRYAGAIN",
                              "BUSY", "MOVED", "ASK", "UNBLOCKED"}) {
    if (reply.is_error(passing)) return {Errc::unavailable, said, "", true};
  }
  if (reply.text.find("max number of clients") != std::string::npos) {
    return {Errc::unavailable, said, "raise maxclients", true};
  }
  return {Errc::internal, said};
}

Error unexpected_reply(std::string_view command) {
  return {Errc::internal, "Redis gave an answer of another shape to " + std::string{command},
          "use Redis 6 or later"};
}

}  // namespace flux::redis
