#pragma once
// Time-ordered identifiers: UUID version 7 (RFC 9562), so that keys made later
// sort later and database indexes grow at one end.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"

namespace flux {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  std::string to_string() const;  // 36 characters, lower case
  static Result<Uuid> parse(std::string_view text);
  std::int64_t unix_ms() const;  // meaningful for version 7 only
  auto operator<=>(const Uuid&) const = default;
};

// Unique across processes, forked ones too; strictly increasing within a thread,
// even when the clock goes back. Thread-safe.
Uuid new_uuid(const Clock& clock = system_clock());

}  // namespace flux

template <>
struct std::hash<flux::Uuid> {
  std::size_t operator()(const flux::Uuid& id) const noexcept;
};
