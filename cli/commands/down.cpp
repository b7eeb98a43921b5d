// flux down: drains the local stack and waits until it is gone.

#include <filesystem>
#include <thread>

#include "cli/commands/all_commands.hpp"
#include "cli/commands/local_stack.hpp"
#include "common/core/units.hpp"

namespace flux::cli {
namespace {

Result<ExitCode> run(const std::string& timeout_text, Context& context) {
  const auto timeout = parse_duration(timeout_text);
  if (!timeout) return timeout.error();
  const auto asked =
      ask_supervisor(context, "POST", "/down",
                     "{\"timeout_ms\":" + std::to_string(*timeout / std::chrono::milliseconds{1}) + "}");
  if (!asked) return asked.error();
  context.progress("draining…");
  const auto deadline = std::chrono::steady_clock::now() + *timeout + std::chrono::seconds{5};
  while (std::chrono::steady_clock::now() < deadline) {
    const auto status = ask_supervisor(context, "GET", "/status");
    if (!status && status.error().code == Errc::not_found) {
      context.print(context.json() ? "{\"stopped\":true}" : "flux is down");
      return ExitCode::done;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  }
  return Error{Errc::internal, "the stack did not stop in time", "see 'flux status' and 'flux logs'"};
}

}  // namespace

void add_down_command(CommandLine& line) {
  auto timeout = std::make_shared<std::string>("30s");
  auto* down = line.root().add_subcommand("down", "Drain and stop what 'flux up' started");
  down->add_option("--timeout", *timeout, "how long replicas may drain before they are killed")
      ->capture_default_str();
  line.runs(
      down, [timeout](Context& context) { return run(*timeout, context); },
      "  flux down\n  flux down --timeout 5s\n");
}

}  // namespace flux::cli
