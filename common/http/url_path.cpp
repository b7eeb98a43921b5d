#include "common/http/url_path.hpp"

#include <algorithm>

namespace flux {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Takes the text up to the next separator off the front.
std::string_view next_part(std::string_view& text, char separator) {
  const auto end = std::min(text.find(separator), text.size());
  const auto part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

}  // namespace

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      return Error{Errc::invalid_argument, "'%' in the request target without two hex digits"};
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return out;
}

std::optional<std::vector<std::string>> match_path(std::string_view pattern, std::string_view path) {
  std::vector<std::string> parts;
  if (path.empty() || path.front() != '/' || (path.size() > 1 && path.back() == '/')) return std::nullopt;
  while (!pattern.empty() && !path.empty()) {
    const auto expected = next_part(pattern, '/');
    const auto got = next_part(path, '/');
    if (expected.starts_with('{')) {
      auto decoded = percent_decode(got);
      // What does not decode is passed on as it came: no id looks like that.
      parts.push_back(decoded ? std::move(*decoded) : std::string(got));
    } else if (expected != got) {
      return std::nullopt;
    }
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return parts;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!query.empty()) {
    auto value = next_part(query, '&');
    if (value.empty()) continue;
    const auto name = next_part(value, '=');
    std::pair<std::string, std::string> entry;
    for (auto [from, to] : {std::pair{name, &entry.first}, std::pair{value, &entry.second}}) {
      std::string spaced(from);
      for (char& c : spaced)
        if (c == '+') c = ' ';
      auto decoded = percent_decode(spaced);
      if (!decoded) return decoded.error();
      *to = std::move(*decoded);
    }
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace flux
