#pragma once
// Small readings of field values shared by requests and responses: comma lists,
// Content-Length, Transfer-Encoding and what Connection names.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flux::balancer {

bool equal_ignoring_case(std::string_view a, std::string_view b);
std::string_view trim(std::string_view text);

// Takes the next element of a comma list off `list`; empty elements are skipped.
// nullopt at the end.
std::optional<std::string_view> next_element(std::string_view& list);

// Digits only, and no overflow.
std::optional<std::uint64_t> parse_content_length(std::string_view value);

// Collects Transfer-Encoding lines; valid when "chunked" came once, last, after
// nothing but known codings.
class TransferCodings {
 public:
  void add(std::string_view value);
  bool any() const { return seen_; }
  bool valid() const { return !broken_ && chunked_; }

 private:
  bool seen_ = false;
  bool chunked_ = false;
  bool broken_ = false;
};

// What Connection fields say. Names of other fields are kept for stripping.
struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
  bool broken = false;  // not a list of tokens, or too many
  std::array<std::string_view, 16> named;
  std::size_t named_count = 0;

  void add(std::string_view value);
  bool names(std::string_view field) const;
};

// Fields that frame or address the message, or tell about the client: a
// Connection field must not be able to remove them.
bool may_be_named_hop_by_hop(std::string_view field);

}  // namespace flux::balancer
