#pragma once
// Text with values made at the moment of sending: {{uuid}} {{seq}} {{user}}
// {{rand 1 6}} and {{variable}}. Compiled once, rendered millions of times.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace flux::loadtest {

// SplitMix64: eight bytes of state, so that every user has its own, and the
// same seed gives the same run whatever the number of threads.
struct Random {
  std::uint64_t state = 0;

  std::uint64_t next() {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    __extension__ using Wide = unsigned __int128;
    const auto span = static_cast<std::uint64_t>(high - low) + 1;
    return low + static_cast<std::int64_t>((static_cast<Wide>(next()) * span) >> 64);
  }
};

// Where the values of one rendering come from.
struct TemplateValues {
  Random& random;
  std::uint64_t& sequence;  // the next {{seq}} of this thread
  std::uint64_t stride;     // distance to the one after, so that threads never share a value
  std::uint32_t user;
  const std::string* variables;  // by index
};

struct TemplatePart {
  enum class Kind : std::uint8_t { literal, uuid, sequence, user, random, variable };
  Kind kind = Kind::literal;
  std::string text{};  // literal
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::uint16_t variable = 0;

  // The number of characters when it is the same every time.
  std::optional<std::size_t> fixed_width() const;
  void append_to(std::string& out, const TemplateValues& values) const;
  // For parts of fixed width other than literals: writes exactly fixed_width() characters.
  void write_at(char* out, const TemplateValues& values) const;
};

using TextTemplate = std::vector<TemplatePart>;

// Names in `variables` may stand in {{…}}; anything else is an error that lists what may.
Result<TextTemplate> parse_template(std::string_view text, const std::vector<std::string>& variables);

void append(std::string& out, const TextTemplate& text, const TemplateValues& values);

}  // namespace flux::loadtest
