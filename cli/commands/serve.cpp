// flux serve: one API daemon.

#include "cli/commands/all_commands.hpp"
#include "daemons/api/run_api.hpp"

namespace flux::cli {

void add_serve_command(CommandLine& line) {
  auto* serve = line.root().add_subcommand("serve", "Run one API daemon");
  auto options = std::make_shared<api::ApiOptions>();
  serve->add_option("--listen", options->listen, "address to listen on; port 0 takes a free one")
      ->capture_default_str()
      ->type_name("HOST:PORT");
  serve->add_option("--workers", options->threads, "event loops, each on a thread")
      ->capture_default_str()
      ->check(CLI::Range(1, 256))
      ->type_name("N");
  serve->add_flag("--insecure", options->insecure,
                  "listen on a public address although no tokens are configured");
  serve->add_option("--address-file", options->address_file, "write the address it listens on to this file")
      ->type_name("FILE");
  serve->add_option("--name", options->name, "what it is called in the log")->capture_default_str();
  line.runs(
      serve,
      [options](Context& context) -> Result<ExitCode> {
        const auto config = context.config();
        if (!config) return config.error();
        return api::run_api(**config, *options);
      },
      "  flux serve\n  flux serve --listen 127.0.0.1:0 --address-file /tmp/api.address\n"
      "  flux --config configs/distributed.yaml serve --workers 2\n");
}

}  // namespace flux::cli
