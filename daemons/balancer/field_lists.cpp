#include "daemons/balancer/field_lists.hpp"

#include <limits>

#include "daemons/balancer/head_scan.hpp"

namespace flux::balancer {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::string_view> next_element(std::string_view& list) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto element = trim(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (!element.empty()) return element;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_content_length(std::string_view value) {
  if (value.empty()) return std::nullopt;
  std::uint64_t length = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    // Kept below 2^63, so that no reader with signed sizes can differ.
    if (length > (static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) - digit) / 10)
      return std::nullopt;
    length = length * 10 + digit;
  }
  return length;
}

void TransferCodings::add(std::string_view value) {
  seen_ = true;
  bool any = false;
  while (const auto coding = next_element(value)) {
    any = true;
    if (chunked_) broken_ = true;  // something after chunked
    if (equal_ignoring_case(*coding, "chunked"))
      chunked_ = true;
    else if (!equal_ignoring_case(*coding, "gzip") && !equal_ignoring_case(*coding, "deflate") &&
             !equal_ignoring_case(*coding, "compress") && !equal_ignoring_case(*coding, "x-gzip") &&
             !equal_ignoring_case(*coding, "x-compress"))
      broken_ = true;
  }
  if (!any) broken_ = true;
}

void ConnectionOptions::add(std::string_view value) {
  while (const auto option = next_element(value)) {
    if (equal_ignoring_case(*option, "close")) {
      close = true;
    } else if (equal_ignoring_case(*option, "keep-alive")) {
      keep_alive = true;
    } else if (equal_ignoring_case(*option, "upgrade")) {
      upgrade = true;
    } else if (!is_token(*option) || named_count == named.size()) {
      broken = true;
    } else {
      named[named_count++] = *option;
    }
  }
}

bool ConnectionOptions::names(std::string_view field) const {
  for (std::size_t i = 0; i < named_count; ++i)
    if (equal_ignoring_case(named[i], field)) return true;
  return false;
}

bool may_be_named_hop_by_hop(std::string_view field) {
  constexpr std::string_view kForwarded = "x-forwarded-";
  return !equal_ignoring_case(field, "host") && !equal_ignoring_case(field, "content-length") &&
         !equal_ignoring_case(field, "transfer-encoding") && !equal_ignoring_case(field, "forwarded") &&
         !equal_ignoring_case(field.substr(0, kForwarded.size()), kForwarded);
}

}  // namespace flux::balancer
