#pragma once
// The process log: one line per event on stderr, as text or as JSON, with key=value fields. Thread-safe; a
// line is one write(2), so lines of several threads never mix.

#include <initializer_list>
#include <string>
#include <string_view>

namespace flux::log {

enum class Level { debug, info, warning, error, off };
enum class Format { text, json };

struct Field {
  std::string_view key;
  std::string value;
};

// Called once at start-up, before threads. `source` names the process, e.g. "api-1".
void configure(Level level, Format format, std::string source);
bool enabled(Level level);

void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void debug(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::debug, m, f);
}
inline void info(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::info, m, f);
}
inline void warning(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::warning, m, f);
}
inline void error(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::error, m, f);
}

}  // namespace flux::log
