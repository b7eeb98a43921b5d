// A target that costs next to nothing: prints its URL, serves until stdin ends.

#include <csignal>
#include <cstdio>

#include "cli/loadtest/echo_server.hpp"
#include "cli/loadtest/run_loadtest.hpp"

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  flux::loadtest::raise_user_limit();
  const auto server = flux::loadtest::EchoServer::start();
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().one_line().c_str());
    return 1;
  }
  std::printf("%s\n", (*server)->url().c_str());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}
