#include "cli/loadtest/text_template.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace flux::loadtest {
namespace {

constexpr std::size_t kUuidLength = 36;
constexpr std::size_t kUserDigits = 6;

std::size_t digits_of(std::int64_t n) {
  return std::to_string(n).size();
}

void write_digits(char* out, std::size_t width, std::uint64_t value) {
  for (std::size_t i = width; i-- > 0; value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

// Version 4, from the user's own generator: the same seed sends the same keys.
void write_uuid(char* out, Random& random) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::uint64_t bits[2] = {random.next(), random.next()};
  bits[0] = (bits[0] & ~0xf000ULL) | 0x4000;
  bits[1] = (bits[1] & ~(3ULL << 62)) | (2ULL << 62);
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) *out++ = '-';
    *out++ = kHex[(bits[nibble / 16] >> (60 - 4 * (nibble % 16))) & 15];
  }
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const auto start = text.find_first_not_of(' ');
    if (start == std::string_view::npos) return words;
    text.remove_prefix(start);
    const auto end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

bool parse_integer(std::string_view text, std::int64_t& value) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc{} && end == text.data() + text.size();
}

Result<TemplatePart> parse_part(std::string_view inside, const std::vector<std::string>& variables) {
  const auto words = words_of(inside);
  TemplatePart part;
  if (words.size() == 1 && words[0] == "uuid") {
    part.kind = TemplatePart::Kind::uuid;
  } else if (words.size() == 1 && words[0] == "seq") {
    part.kind = TemplatePart::Kind::sequence;
  } else if (words.size() == 1 && words[0] == "user") {
    part.kind = TemplatePart::Kind::user;
  } else if (!words.empty() && words[0] == "rand") {
    part.kind = TemplatePart::Kind::random;
    if (words.size() != 3 || !parse_integer(words[1], part.low) || !parse_integer(words[2], part.high) ||
        part.low > part.high)
      return Error{Errc::invalid_argument, "{{" + std::string(inside) + "}} needs two whole numbers in order",
                   "write it like {{rand 1 100}}"};
  } else {
    const auto known =
        words.size() == 1 ? std::find(variables.begin(), variables.end(), words[0]) : variables.end();
    if (known == variables.end()) {
      std::string names = "uuid, seq, user, rand A B";
      for (const std::string& name : variables) names += ", " + name;
      return Error{Errc::invalid_argument, "unknown variable {{" + std::string(inside) + "}}",
                   "there are " + names};
    }
    part.kind = TemplatePart::Kind::variable;
    part.variable = static_cast<std::uint16_t>(known - variables.begin());
  }
  return part;
}

}  // namespace

std::optional<std::size_t> TemplatePart::fixed_width() const {
  switch (kind) {
    case Kind::literal: return text.size();
    case Kind::uuid: return kUuidLength;
    case Kind::user: return kUserDigits;
    case Kind::random:
      if (low >= 0 && digits_of(low) == digits_of(high)) return digits_of(low);
      return std::nullopt;
    case Kind::sequence:
    case Kind::variable: return std::nullopt;
  }
  return std::nullopt;
}

void TemplatePart::write_at(char* out, const TemplateValues& values) const {
  if (kind == Kind::uuid) write_uuid(out, values.random);
  if (kind == Kind::user) write_digits(out, kUserDigits, values.user);
  if (kind == Kind::random)
    write_digits(out, *fixed_width(), static_cast<std::uint64_t>(values.random.between(low, high)));
}

void TemplatePart::append_to(std::string& out, const TemplateValues& values) const {
  switch (kind) {
    case Kind::literal: out += text; return;
    case Kind::variable: out += values.variables[variable]; return;
    case Kind::sequence:
      out += std::to_string(values.sequence);
      values.sequence += values.stride;
      return;
    case Kind::random: out += std::to_string(values.random.between(low, high)); return;
    case Kind::uuid:
    case Kind::user: {
      const std::size_t start = out.size();
      out.resize(start + *fixed_width());
      write_at(out.data() + start, values);
      return;
    }
  }
}

Result<TextTemplate> parse_template(std::string_view text, const std::vector<std::string>& variables) {
  TextTemplate parts;
  const auto literal = [&](std::string_view piece) {
    if (!piece.empty()) parts.push_back({TemplatePart::Kind::literal, std::string(piece)});
  };
  while (true) {
    const auto start = text.find("{{");
    if (start == std::string_view::npos) break;
    const auto end = text.find("}}", start);
    if (end == std::string_view::npos)
      return Error{Errc::invalid_argument, "'{{' without '}}'", "write {{name}}"};
    literal(text.substr(0, start));
    auto part = parse_part(text.substr(start + 2, end - start - 2), variables);
    if (!part) return part.error();
    parts.push_back(std::move(*part));
    text.remove_prefix(end + 2);
  }
  literal(text);
  return parts;
}

void append(std::string& out, const TextTemplate& text, const TemplateValues& values) {
  for (const TemplatePart& part : text) part.append_to(out, values);
}

}  // namespace flux::loadtest
