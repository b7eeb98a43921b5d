// flux balancer: the reverse proxy daemon, alone or as a part of `flux up`.

#include <memory>

#include "cli/commands/all_commands.hpp"
#include "daemons/balancer/run_balancer.hpp"

namespace flux::cli {
namespace {

Result<ExitCode> run(Context& context, const balancer::BalancerOptions& flags) {
  const auto config = context.config();
  if (!config) return config.error();
  log::configure(context.verbose() > 1 ? log::Level::debug : (*config)->log.level, (*config)->log.format,
                 "balancer");
  balancer::BalancerOptions options = flags;
  options.reload = [file = context.options().config_file] { return load_config(file); };
  return balancer::run_balancer(**config, options);
}

}  // namespace

void add_balancer_command(CommandLine& line) {
  auto* command = line.root().add_subcommand("balancer", "Run the HTTP/1.1 reverse proxy");
  auto options = std::make_shared<balancer::BalancerOptions>();
  command->add_option("--listen", options->listen, "address to serve on; :PORT for every interface")
      ->type_name("HOST:PORT");
  command->add_option("--admin", options->admin, "address of the admin API, probes and metrics")
      ->type_name("HOST:PORT");
  command->add_option("--upstream", options->upstreams, "URL[,weight=N][,pool=NAME]; may be repeated")
      ->type_name("URL")
      ->delimiter('\0');
  command->add_option("--upstreams-file", options->upstreams_file, "watched file, one upstream per line")
      ->type_name("FILE");
  command->add_option("--algorithm", options->algorithm, "round_robin, least_conn, p2c, peak_ewma or hash");
  command->add_option("--threads", options->threads, "event loops (default: one per core)");
  command
      ->add_option("--address-file", options->address_file,
                   "written when listening: the bound address, then the admin's")
      ->type_name("FILE");
  line.runs(
      command, [options](Context& context) { return run(context, *options); },
      "  flux balancer --listen :8080 --upstream http://127.0.0.1:8001 --upstream "
      "http://127.0.0.1:8002,weight=2\n"
      "  flux balancer --upstreams-file upstreams.txt --algorithm p2c --threads 4\n"
      "  curl -X POST http://127.0.0.1:9901/upstreams/127.0.0.1:8001/drain\n");
}

}  // namespace flux::cli
