#pragma once
// What every command shares: the global options, where results and progress
// go, and how a command's work is started once the arguments are parsed.

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "common/config/config.hpp"
#include "common/core/exit_code.hpp"
#include "common/core/result.hpp"

namespace flux::cli {

enum class OutputFormat { text, json };

struct GlobalOptions {
  std::optional<std::string> config_file{};
  std::optional<std::string> data{};     // overrides the configuration's `data`
  std::optional<std::string> engines{};  // overrides `engines`: embedded or distributed
  OutputFormat output = OutputFormat::text;
  bool quiet = false;
  int verbose = 0;
  bool no_color = false;
};

// Given to a command when it runs.
class Context {
 public:
  explicit Context(GlobalOptions options) : options_(std::move(options)) {}

  // Loads the configuration on first use, so `flux --help` needs none.
  Result<const Config*> config();
  bool json() const { return options_.output == OutputFormat::json; }
  bool quiet() const { return options_.quiet; }
  int verbose() const { return options_.verbose; }
  const GlobalOptions& options() const { return options_; }
  // Colour for stdout: a terminal, not --no-color, not NO_COLOR.
  bool color() const;

  void print(std::string_view result);   // stdout; adds the newline when it is missing
  void progress(std::string_view line);  // stderr, unless --quiet

 private:
  GlobalOptions options_;
  std::optional<Config> config_;
};

using CommandBody = std::function<Result<ExitCode>(Context&)>;

// Collects the work chosen on the command line.
class CommandLine {
 public:
  explicit CommandLine(CLI::App& root);
  CLI::App& root() { return root_; }
  // `command` (a subcommand of root) runs `body`; `examples` end its --help.
  void runs(CLI::App* command, CommandBody body, std::string examples);
  // Parses and runs; prints errors in one place. Returns the process exit code.
  int run(int argc, char** argv);

 private:
  CLI::App& root_;
  GlobalOptions options_;
  CommandBody chosen_;
};

// The one place where an Error becomes a line on stderr and an exit code.
ExitCode report_error(const Error& error, OutputFormat format);

}  // namespace flux::cli
