#pragma once
// A few lines at the bottom of a terminal that are drawn over and over, and
// single keys without Enter. Restores the terminal when it goes away.

#include <termios.h>

#include <optional>
#include <string>
#include <vector>

namespace flux::cli {

class LiveTerminal {
 public:
  // Draws on stderr and reads keys from stdin; both must be terminals for this to be used.
  static bool possible();

  LiveTerminal();
  ~LiveTerminal();
  LiveTerminal(const LiveTerminal&) = delete;

  void draw(const std::vector<std::string>& lines);
  // The next key that was pressed, without waiting.
  std::optional<char> key();
  std::size_t width() const;

 private:
  termios before_{};
  std::size_t drawn_ = 0;
};

}  // namespace flux::cli
