// flux scale: guards first, then scale, wait for readiness, put back on failure.

#include <boost/json.hpp>
#include <ctime>
#include <fstream>
#include <thread>

#include "cli/commands/all_commands.hpp"
#include "cli/orchestrator/scale_service.hpp"
#include "common/core/units.hpp"
#include "daemons/supervisor/run_supervisor.hpp"

namespace flux::cli {
namespace {

namespace json = boost::json;
using orchestrator::Guard;

struct ScaleOptions {
  std::string service = "api";
  std::int64_t replicas = 0;
  std::string on;
  bool dry_run = false;
  bool force = false;
  std::string wait = "60s";
};

json::object document(const ScaleOptions& options, const std::string& on, const std::vector<Guard>& guards,
                      const orchestrator::ScaleOutcome& outcome) {
  json::array list;
  for (const Guard& guard : guards)
    list.push_back({{"name", guard.name},
                    {"ok", guard.ok},
                    {"limit", guard.limit},
                    {"need", guard.need},
                    {"detail", guard.detail}});
  return {{"service", options.service}, {"on", on},
          {"from", outcome.from},       {"to", options.replicas},
          {"applied", outcome.applied}, {"ready", outcome.ready},
          {"guards", std::move(list)},  {"took_s", std::chrono::duration<double>(outcome.took).count()}};
}

std::string text(const ScaleOptions& options, const std::vector<Guard>& guards,
                 const orchestrator::ScaleOutcome& outcome) {
  std::string out;
  for (const Guard& guard : guards)
    out += std::string(guard.ok ? "  ok       " : "  refused  ") + guard.name + ": " + guard.detail + "\n";
  out += options.service + " " + std::to_string(outcome.from) + "→" + std::to_string(options.replicas);
  if (options.dry_run) return out + " would be done (dry run)\n";
  return out + (outcome.put_back ? " did not become ready and was put back\n"
                                 : " ready in " + format_duration(outcome.took) + "\n");
}

// One line per change, kept with the stack's data.
void audit(const Config& config, json::object entry) {
  entry["at"] = unix_ms(system_clock().wall());
  entry["action"] = "scale";
  std::ofstream(config.data + "/audit.jsonl", std::ios::app) << json::serialize(entry) << "\n";
}

Result<ExitCode> run(const ScaleOptions& options, Context& context) {
  const auto loaded = context.config();
  if (!loaded) return loaded.error();
  const Config& config = **loaded;
  const auto wait = parse_duration(options.wait);
  if (!wait) return wait.error();
  const std::string on = options.on.empty() ? std::string(to_string(config.orchestrator)) : options.on;
  if (on != "local")
    return Error{Errc::invalid_argument, "this flux scales on local only, not on " + on, "use --on local"};
  const auto service = config.services.find(options.service);
  if (service == config.services.end())
    return Error{Errc::invalid_argument, "no service '" + options.service + "' in " + config.source,
                 "add it under services:, or see 'flux config show'"};

  const auto local = orchestrator::open_local(supervisor::control_socket_path(config.data));
  orchestrator::ScaleOutcome outcome{.from = service->second.replicas};
  const auto present = local->observe(options.service);
  if (present) {
    outcome.from = present->desired;
    outcome.ready = present->ready;
  }
  const auto guards =
      orchestrator::check_guards(config, service->second, options.replicas, orchestrator::this_machine());
  const bool refused = options.replicas > outcome.from && !options.force &&
                       std::ranges::any_of(guards, [](const Guard& guard) { return !guard.ok; });
  if (refused) {
    if (context.json()) context.print(json::serialize(document(options, on, guards, outcome)));
    return orchestrator::refusal(options.service, outcome.from, options.replicas, guards);
  }
  if (options.dry_run) {
    context.print(context.json() ? json::serialize(document(options, on, guards, outcome))
                                 : text(options, guards, outcome));
    return ExitCode::done;
  }
  const auto scaled =
      orchestrator::scale_service(*local, {options.service, options.replicas, *wait}, system_clock(),
                                  [](Duration time) { std::this_thread::sleep_for(time); });
  if (!scaled) return scaled.error();
  const json::object result = document(options, on, guards, *scaled);
  audit(config, result);
  context.print(context.json() ? json::serialize(result) : text(options, guards, *scaled));
  return scaled->put_back ? ExitCode::failed : ExitCode::done;
}

}  // namespace

void add_scale_command(CommandLine& line) {
  auto options = std::make_shared<ScaleOptions>();
  auto* scale = line.root().add_subcommand(
      "scale", "Change the replicas of a service, as far as the rest can carry it");
  scale->add_option("service", options->service, "which service")->capture_default_str();
  scale->add_option("--replicas", options->replicas, "how many there shall be")
      ->required()
      ->check(CLI::Range(0, 256));
  scale->add_option("--on", options->on, "where it runs: local (default: the configured orchestrator)");
  scale->add_flag("--dry-run", options->dry_run,
                  "check the guards and say what would be done; change nothing");
  scale->add_flag("--force", options->force, "do it although a guard refuses");
  scale->add_option("--wait", options->wait, "how long it may take to become ready before it is put back")
      ->capture_default_str();
  line.runs(
      scale, [options](Context& context) { return run(*options, context); },
      "  flux scale --replicas 5\n  flux scale worker-inventory --replicas 6 --dry-run\n"
      "  flux scale api --replicas 12 -o json\n");
}

}  // namespace flux::cli
