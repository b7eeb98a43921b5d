#pragma once
// Paths and queries of request targets: split, percent-decoded, matched with
// patterns like "/v1/orders/{id}".

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/result.hpp"

namespace flux {

// %41 -> A. Refuses a '%' without two hex digits.
Result<std::string> percent_decode(std::string_view text);

// The pattern's {parts}, percent-decoded, in order; nullopt: no match. Segments
// are split before they are decoded, so %2F never becomes a separator.
std::optional<std::vector<std::string>> match_path(std::string_view pattern, std::string_view path);

// "a=1&b=%20" -> {{"a","1"},{"b"," "}}; '+' stands for a space. Refuses bad escapes.
Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

}  // namespace flux
