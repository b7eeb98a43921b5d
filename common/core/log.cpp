#include "common/core/log.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace flux::log {
namespace {

std::atomic<Level> g_level{Level::info};
Format g_format = Format::text;
std::string g_source;

constexpr std::array<std::string_view, 5> kNames{"debug", "info", "warning", "error", "off"};

std::string timestamp() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  char all[48];
  std::snprintf(all, sizeof all, "%s.%03dZ", date, static_cast<int>(ms));
  return all;
}

// Length of the UTF-8 sequence at the start of `text`; 0 when it is not one.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xc2 && first < 0xe0 ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool overlong_or_surrogate = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
                                     (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f);
  return overlong_or_surrogate ? 0 : length;
}

// Whatever a value holds, the line stays one line of valid UTF-8: control
// characters are escaped, bytes that are not UTF-8 become U+FFFD.
void append_escaped(std::string& out, std::string_view value, bool in_quotes) {
  while (!value.empty()) {
    const char c = value[0];
    const std::size_t length = utf8_length(value);
    if (in_quotes && (c == '"' || c == '\\')) {
      out += '\\';
      out += c;
    } else if ((c >= 0 && c < 0x20) || c == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", c);
      out += escaped;
    } else if (length == 0) {
      out += "\xef\xbf\xbd";
    } else {
      out += value.substr(0, length);
    }
    value.remove_prefix(length == 0 ? 1 : length);
  }
}

// The text format quotes a value only where it would make the line ambiguous.
void append_quoted(std::string& out, std::string_view value) {
  out += '"';
  append_escaped(out, value, true);
  out += '"';
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '"' || c == '=' || c == '\\') return true;
  return false;
}

std::string text_line(std::string_view level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line = timestamp();
  line += ' ';
  line += level;
  if (!g_source.empty()) {
    line += " [";
    line += g_source;
    line += ']';
  }
  line += ' ';
  append_escaped(line, message, false);
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    if (needs_quotes(field.value))
      append_quoted(line, field.value);
    else
      append_escaped(line, field.value, false);
  }
  return line;
}

std::string json_line(std::string_view level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line = R"({"time":")" + timestamp() + R"(","level":")";
  line += level;
  line += '"';
  const auto add = [&line](std::string_view key, std::string_view value) {
    line += ',';
    append_quoted(line, key);
    line += ':';
    append_quoted(line, value);
  };
  if (!g_source.empty()) add("source", g_source);
  add("message", message);
  for (const Field& field : fields) add(field.key, field.value);
  line += '}';
  return line;
}

}  // namespace

void configure(Level level, Format format, std::string source) {
  g_level = level;
  g_format = format;
  g_source = std::move(source);
}

bool enabled(Level level) {
  return level != Level::off && level >= g_level.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  const auto name = kNames[static_cast<std::size_t>(level)];
  std::string line =
      g_format == Format::text ? text_line(name, message, fields) : json_line(name, message, fields);
  line += '\n';
  // A full or closed stderr must not stop the program.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace flux::log
