#include <csignal>

#include "cli/commands/all_commands.hpp"

int main(int argc, char** argv) {
  // A closed pipe or socket is an error of the call, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"flux runs, loads, watches and scales an event-driven service", "flux"};
  app.set_version_flag("--version", "flux " FLUX_VERSION);
  app.footer("\nRun 'flux COMMAND --help' for the options, examples and exit codes of a command.\n");
  flux::cli::CommandLine line(app);
  flux::cli::add_all_commands(line);
  return line.run(argc, argv);
}
