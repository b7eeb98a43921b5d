#pragma once
// Entity tags (RFC 9110, 8.8.3) and the conditional headers that carry them.

#include <string>
#include <string_view>

namespace flux {

// A strong tag over the bytes, quotes included.
std::string entity_tag_of(std::string_view body);

// If-None-Match: `*` or a list; weak comparison.
bool any_tag_matches(std::string_view header, std::string_view tag);
// If-Match: `*` or a list; strong comparison, so W/"x" never matches.
bool any_tag_matches_strongly(std::string_view header, std::string_view tag);

}  // namespace flux
