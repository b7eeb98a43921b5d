#include "common/http/entity_tag.hpp"

#include <cstdint>
#include <cstdio>

namespace flux {
namespace {

bool matches(std::string_view header, std::string_view tag, bool weak_counts) {
  const auto skip = [&header](std::string_view chars) {
    const auto at = header.find_first_not_of(chars);
    header.remove_prefix(at == std::string_view::npos ? header.size() : at);
  };
  while (true) {
    skip(" \t,");
    if (header.empty()) return false;
    if (header.front() == '*') return true;
    const bool weak = header.starts_with("W/");
    if (weak) header.remove_prefix(2);
    const auto end = header.starts_with('"') ? header.find('"', 1) : std::string_view::npos;
    if (end == std::string_view::npos) return false;  // not a tag; nothing after it can be trusted
    if (header.substr(0, end + 1) == tag && (weak_counts || !weak)) return true;
    header.remove_prefix(end + 1);
  }
}

}  // namespace

std::string entity_tag_of(std::string_view body) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : body) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  char text[24];
  std::snprintf(text, sizeof text, "\"%016llx\"", static_cast<unsigned long long>(hash));
  return text;
}

bool any_tag_matches(std::string_view header, std::string_view tag) {
  return matches(header, tag, true);
}

bool any_tag_matches_strongly(std::string_view header, std::string_view tag) {
  return matches(header, tag, false);
}

}  // namespace flux
