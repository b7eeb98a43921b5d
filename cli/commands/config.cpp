// flux config show|check: what flux would run with, and whether it is valid.

#include <boost/json.hpp>

#include "cli/commands/all_commands.hpp"

namespace flux::cli {
namespace {

Result<ExitCode> show(Context& context) {
  const auto config = context.config();
  if (!config) return config.error();
  context.print(context.json() ? show_config_json(**config) : show_config_yaml(**config));
  return ExitCode::done;
}

Result<ExitCode> check(Context& context) {
  const auto config = context.config();
  if (!config) return config.error();
  context.print(context.json()
                    ? boost::json::serialize(boost::json::value{{"ok", true}, {"source", (*config)->source}})
                    : "ok: " + (*config)->source);
  return ExitCode::done;
}

}  // namespace

void add_config_command(CommandLine& line) {
  auto* config = line.root().add_subcommand("config", "Show or check the effective configuration");
  config->require_subcommand(1);
  config->fallthrough();
  line.runs(config->add_subcommand("show", "Print the effective configuration, secrets masked"), show,
            "  flux config show\n  flux --config configs/distributed.yaml config show -o json\n");
  line.runs(config->add_subcommand("check", "Validate the configuration"), check,
            "  flux config check --config flux.yaml\n");
}

}  // namespace flux::cli
