#include "cli/commands/read_input.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace flux::cli {
namespace {

constexpr std::size_t kLargest = std::size_t{64} << 20;

Result<std::string> read_all(std::istream& in, const std::string& name) {
  std::string text;
  char chunk[64 << 10];
  while (in.read(chunk, sizeof chunk) || in.gcount() > 0) {
    text.append(chunk, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kLargest) return Error{Errc::invalid_argument, name + " is larger than 64 MiB"};
  }
  if (in.bad()) return Error{Errc::invalid_argument, "cannot read " + name};
  return text;
}

}  // namespace

Result<std::string> read_input(const std::string& file) {
  if (file == "-") return read_all(std::cin, "stdin");
  std::error_code ec;
  if (std::filesystem::is_directory(file, ec))
    return Error{Errc::invalid_argument, "cannot read " + file + ": it is a directory"};
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return Error{Errc::invalid_argument, "cannot read " + file + ": " + std::strerror(errno),
                 "check the name, or give - for stdin"};
  return read_all(in, file);
}

}  // namespace flux::cli
