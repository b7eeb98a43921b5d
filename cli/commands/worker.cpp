// flux worker: one worker daemon with N consumers of a group.

#include "cli/commands/all_commands.hpp"
#include "common/core/log.hpp"
#include "daemons/worker/run_worker.hpp"

namespace flux::cli {

void add_worker_command(CommandLine& line) {
  auto options = std::make_shared<worker::WorkerOptions>();
  auto* command =
      line.root().add_subcommand("worker", "Run one worker daemon: settles orders or runs workflows");
  command->add_option("--group", options->group, "inventory (orders) or workflows")->required();
  command->add_option("--workers", options->consumers, "consumers in this process")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("--listen", options->listen, "address of /health, /ready and /metrics")
      ->capture_default_str();
  command->add_option("--address-file", options->address_file,
                      "write the address it listens on to this file");
  command->add_option("--name", options->name, "name in logs and in the group")->capture_default_str();
  line.runs(
      command,
      [options](Context& context) -> Result<ExitCode> {
        const auto config = context.config();
        if (!config) return config.error();
        log::configure(context.verbose() > 0 ? log::Level::debug : (*config)->log.level,
                       (*config)->log.format, options->name);
        return worker::run_worker(**config, *options);
      },
      "  flux worker --group inventory --workers 4\n  flux worker --group workflows --listen "
      "127.0.0.1:9102\n");
}

}  // namespace flux::cli
