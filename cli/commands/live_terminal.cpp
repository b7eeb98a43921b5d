#include "cli/commands/live_terminal.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace flux::cli {

bool LiveTerminal::possible() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && ::isatty(STDIN_FILENO) == 1 && kind != nullptr &&
         std::strcmp(kind, "dumb") != 0;
}

LiveTerminal::LiveTerminal() {
  ::tcgetattr(STDIN_FILENO, &before_);
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

LiveTerminal::~LiveTerminal() {
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

void LiveTerminal::draw(const std::vector<std::string>& lines) {
  std::string text;
  if (drawn_ != 0) text = "\x1b[" + std::to_string(drawn_) + "A";
  for (const std::string& line : lines) text += "\r\x1b[2K" + line + "\n";
  drawn_ = lines.size();
  std::fwrite(text.data(), 1, text.size(), stderr);
}

std::optional<char> LiveTerminal::key() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char pressed = 0;
  if (::poll(&input, 1, 0) == 1 && (input.revents & POLLIN) != 0 && ::read(STDIN_FILENO, &pressed, 1) == 1)
    return pressed;
  return std::nullopt;
}

std::size_t LiveTerminal::width() const {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace flux::cli
