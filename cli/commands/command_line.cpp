#include "cli/commands/command_line.hpp"

#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace flux::cli {
namespace {

constexpr const char* kExitCodes =
    "\nExit codes:\n"
    "  0 done   1 failed   2 usage or configuration   3 a threshold is not met\n"
    "  4 refused by a guard   5 a server cannot be reached   6 measurement not valid\n"
    "  130/143 interrupted, partial results written\n";

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto n = ::write(fd, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

Result<const Config*> Context::config() {
  if (!config_) {
    auto loaded = load_config(options_.config_file);
    if (!loaded) return loaded.error();
    config_ = std::move(*loaded);
    if (options_.data) config_->data = *options_.data;
    if (options_.engines)
      config_->engines =
          *options_.engines == "distributed"
              ? EnginesConfig{EventLogEngine::kafka, StateStoreEngine::redis, LedgerEngine::postgres}
              : EnginesConfig{};
  }
  return &*config_;
}

bool Context::color() const {
  const char* no_color = std::getenv("NO_COLOR");
  return !options_.no_color && (no_color == nullptr || *no_color == '\0') && ::isatty(STDOUT_FILENO) == 1;
}

void Context::print(std::string_view result) {
  write_all(STDOUT_FILENO, result);
  if (result.empty() || result.back() != '\n') write_all(STDOUT_FILENO, "\n");
}

void Context::progress(std::string_view line) {
  if (options_.quiet) return;
  write_all(STDERR_FILENO, std::string(line) + "\n");
}

ExitCode report_error(const Error& error, OutputFormat format) {
  std::string line;
  if (format == OutputFormat::json)
    line = boost::json::serialize(boost::json::value{
        {"error", {{"code", to_string(error.code)}, {"message", error.message}, {"hint", error.hint}}}});
  else
    line = "error: " + error.one_line();
  write_all(STDERR_FILENO, line + "\n");
  return exit_code_of(error.code);
}

CommandLine::CommandLine(CLI::App& root) : root_(root) {
  root_.fallthrough();
  root_.require_subcommand(0, 1);
  root_
      .add_option("--config", options_.config_file,
                  "configuration file (else $FLUX_CONFIG, else ./flux.yaml)")
      ->type_name("FILE");
  root_
      .add_option("--data", options_.data,
                  "data directory of the embedded engines and of 'flux up' (default ./.flux)")
      ->type_name("DIR");
  root_.add_option("--engines", options_.engines, "embedded or distributed, whatever the configuration says")
      ->check(CLI::IsMember({"embedded", "distributed"}))
      ->type_name("SET");
  root_.add_option("-o,--output", options_.output, "text or json")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, OutputFormat>{{"text", OutputFormat::text}, {"json", OutputFormat::json}}))
      ->type_name("text|json");
  root_.add_flag("-q,--quiet", options_.quiet, "no progress on stderr");
  root_.add_flag("-v,--verbose", options_.verbose, "more on stderr; twice for debug");
  root_.add_flag("--no-color", options_.no_color, "no colour (also NO_COLOR)");
}

void CommandLine::runs(CLI::App* command, CommandBody body, std::string examples) {
  command->fallthrough();
  command->footer("\nExamples:\n" + examples + kExitCodes);
  command->callback([this, body = std::move(body)] { chosen_ = body; });
}

int CommandLine::run(int argc, char** argv) {
  try {
    root_.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return root_.exit(e);
  } catch (const CLI::CallForAllHelp& e) {
    return root_.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return root_.exit(e);
  } catch (const CLI::ParseError& e) {
    return static_cast<int>(report_error(
        {Errc::invalid_argument, e.what(), "see 'flux --help' or 'flux COMMAND --help'"}, options_.output));
  }
  if (!chosen_) {
    std::cout << root_.help();
    return static_cast<int>(ExitCode::done);
  }
  Context context(options_);
  try {
    const auto code = chosen_(context);
    return static_cast<int>(code ? *code : report_error(code.error(), options_.output));
  } catch (const std::exception& e) {
    return static_cast<int>(report_error({Errc::internal, std::string("unexpected failure: ") + e.what(),
                                          "this is a bug in flux; please report it"},
                                         options_.output));
  }
}

}  // namespace flux::cli
