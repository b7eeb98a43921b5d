#include "daemons/balancer/head_scan.hpp"

#include <array>
#include <cstring>

namespace flux::balancer {
namespace {

enum : std::uint8_t { kToken = 1, kValue = 2, kTarget = 4 };

// What may stand where: RFC 9110 section 5.6.2 (token), 5.5 (field value, with
// obs-text), RFC 3986 (request target: visible ASCII).
constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    std::uint8_t bits = 0;
    if (alnum || (c < 128 && c > 32 &&
                  std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos))
      bits |= kToken;
    if (c == '\t' || (c >= 0x20 && c != 0x7f)) bits |= kValue;
    if (c >= 0x20 && c < 0x7f) bits |= kTarget;
    classes[static_cast<std::size_t>(c)] = bits;
  }
  return classes;
}

constexpr auto kClasses = make_classes();

std::uint8_t class_of(char c) {
  return kClasses[static_cast<unsigned char>(c)];
}

std::string_view bad_byte(char c) {
  if (c == '\n') return "bare LF";
  if (c == '\r') return "bare CR";
  if (c == '\0') return "NUL in head";
  return "control character in head";
}

}  // namespace

bool is_token_char(char c) {
  return (class_of(c) & kToken) != 0;
}

bool is_token(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text)
    if (!is_token_char(c)) return false;
  return true;
}

ScanState HeadScan::feed(std::string_view bytes, const HeadLimits& limits) {
  const auto refuse = [this](std::string_view why, int status = 400) {
    refusal = {status, why};
    return ScanState::refused;
  };
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  const char* at = begin + line;
  while (at != end) {
    const char* p = at;
    if (lines != 0) {  // a field line
      if (*p == '\r') {
        if (p + 1 == end) break;
        if (p[1] != '\n') return refuse("bare CR");
        length = static_cast<std::size_t>(p + 2 - begin);
        return length > limits.bytes ? refuse("head too large", 431) : ScanState::complete;
      }
      if (*p == ' ' || *p == '\t')
        return refuse(lines == 1 ? "whitespace before the first field" : "folded field line");
      while (p != end && is_token_char(*p)) ++p;
      if (p == end) break;
      if (*p != ':') {
        if (*p == ' ' || *p == '\t') return refuse("space before the colon");
        if (*p == '\r' || *p == '\n') return refuse(*p == '\n' ? "bare LF" : "field line without a colon");
        return refuse("field name is not a token");
      }
      if (p == at) return refuse("empty field name");
      ++p;
    }
    while (p != end && (class_of(*p) & kValue) != 0) ++p;
    if (p == end) break;
    if (*p != '\r') return refuse(bad_byte(*p));
    if (p + 1 == end) break;
    if (p[1] != '\n') return refuse("bare CR");
    if (++lines > limits.fields + 1) return refuse("too many fields", 431);
    at = p + 2;
    line = static_cast<std::size_t>(at - begin);
    if (lines == 1 && line > limits.bytes) return refuse("request line too long", 414);
  }
  if (bytes.size() >= limits.bytes) return refuse("head too large", lines == 0 ? 414 : 431);
  return ScanState::incomplete;
}

}  // namespace flux::balancer
