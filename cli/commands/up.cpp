// flux up: the whole reference service as supervised processes, in the
// foreground or detached.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <csignal>
#include <filesystem>
#include <thread>

#include "cli/commands/all_commands.hpp"
#include "cli/commands/local_stack.hpp"
#include "common/core/log.hpp"
#include "daemons/supervisor/run_supervisor.hpp"

namespace flux::cli {
namespace {

struct UpOptions {
  std::optional<int> api;
  std::optional<int> workers;
  std::optional<int> port;
  bool detach = false;
};

std::string ready_text(const std::string& status_json) {
  const auto status = boost::json::parse(status_json).as_object();
  std::string text = "flux is up: " + std::string(status.at("url").as_string()) + "\n";
  for (const auto& service : status.at("services").as_array()) {
    text += "  " + std::string(service.at("name").as_string()) + ":";
    for (const auto& replica : service.at("replicas").as_array())
      text += " " + std::string(replica.at("address").as_string());
    text += "\n";
  }
  return text;
}

Result<supervisor::RunOptions> plan(const UpOptions& options, Context& context) {
  const auto config = context.config();
  if (!config) return config.error();
  std::error_code ec;
  supervisor::RunOptions run;
  run.data = std::filesystem::absolute((*config)->data, ec).lexically_normal().string();
  run.stack.binary = std::filesystem::read_symlink("/proc/self/exe", ec).string();
  const GlobalOptions& global = context.options();
  const auto pass_on = [&](const char* name, const std::optional<std::string>& value) {
    if (value) run.stack.global_arguments.insert(run.stack.global_arguments.end(), {name, *value});
  };
  pass_on("--config", global.config_file);
  pass_on("--data", run.data);
  pass_on("--engines", global.engines);
  const auto replicas = [&](const char* service, int fallback) {
    const auto found = (*config)->services.find(service);
    return found == (*config)->services.end() ? fallback : static_cast<int>(found->second.replicas);
  };
  run.stack.api = options.api.value_or(replicas("api", 3));
  run.stack.workers = options.workers.value_or(replicas("worker-inventory", 3));
  run.stack.workflow_workers = replicas("worker-workflows", 1);
  run.stack.balancer_listen = (*config)->balancer.listen;
  if (options.port) {
    const auto colon = run.stack.balancer_listen.rfind(':');
    run.stack.balancer_listen =
        run.stack.balancer_listen.substr(0, colon) + ":" + std::to_string(*options.port);
  }
  run.stack.balancer_algorithm = (*config)->balancer.algorithm;
  log::configure(context.quiet()         ? log::Level::error
                 : context.verbose() > 0 ? log::Level::debug
                                         : (*config)->log.level,
                 (*config)->log.format, "supervisor");
  return run;
}

// The child becomes the supervisor; this process waits until it says ready or ends.
Result<ExitCode> run_detached(supervisor::RunOptions run, Context& context) {
  int ready_pipe[2];
  if (::pipe2(ready_pipe, O_CLOEXEC) != 0) return Error{Errc::exhausted, "cannot create a pipe"};
  const pid_t child = ::fork();
  if (child < 0) return Error{Errc::exhausted, "cannot start a process"};
  if (child == 0) {
    ::setsid();
    ::close(ready_pipe[0]);
    std::error_code ec;
    const std::string logs = supervisor::log_directory(run.data);
    std::filesystem::create_directories(logs, ec);
    const int nothing = ::open("/dev/null", O_RDWR);
    const int log_file = ::open((logs + "/supervisor.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0640);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(nothing, STDOUT_FILENO);
    ::dup2(log_file >= 0 ? log_file : nothing, STDERR_FILENO);
    const auto tell = [&](char tag, const std::string& text) {
      const std::string message = tag + text;
      [[maybe_unused]] const auto n = ::write(ready_pipe[1], message.data(), message.size());
      ::close(ready_pipe[1]);
    };
    run.on_ready = [&](const std::string& status) { tell('+', status); };
    const auto ended = supervisor::run_supervisor(run);
    if (!ended) {
      const Error& e = ended.error();
      log::error(e.one_line(), {});
      tell('-', boost::json::serialize(boost::json::array{static_cast<int>(e.code), e.message, e.hint}));
    }
    ::_exit(ended ? 0 : 1);
  }
  ::close(ready_pipe[1]);
  std::string message;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(ready_pipe[0], buffer, sizeof buffer)) > 0;)
    message.append(buffer, static_cast<std::size_t>(n));
  ::close(ready_pipe[0]);
  if (message.starts_with('+')) {
    context.print(context.json() ? message.substr(1) : ready_text(message.substr(1)));
    return ExitCode::done;
  }
  if (message.starts_with('-')) {
    const auto error = boost::json::parse(message.substr(1)).as_array();
    return Error{static_cast<Errc>(error[0].as_int64()), std::string(error[1].as_string()),
                 std::string(error[2].as_string())};
  }
  return Error{Errc::internal, "the supervisor ended before it was ready",
               "see " + supervisor::log_directory(run.data) + "/supervisor.log"};
}

Result<ExitCode> run(const UpOptions& options, Context& context) {
  auto planned = plan(options, context);
  if (!planned) return planned.error();
  if (options.detach) return run_detached(std::move(*planned), context);
  planned->on_ready = [&](const std::string& status) {
    context.print(context.json() ? status : ready_text(status) + "Ctrl-C stops it.");
  };
  return supervisor::run_supervisor(*planned);
}

}  // namespace

void add_up_command(CommandLine& line) {
  auto options = std::make_shared<UpOptions>();
  auto* up = line.root().add_subcommand("up", "Start balancer, APIs and workers as supervised processes");
  up->add_option("--api", options->api, "API replicas (default: services.api.replicas, 3)")
      ->check(CLI::Range(0, 256));
  up->add_option("--workers", options->workers,
                 "inventory workers (default: services.worker-inventory.replicas, 3)")
      ->check(CLI::Range(0, 256));
  up->add_option("--port", options->port, "port of the balancer (default: that of balancer.listen, 8080)")
      ->check(CLI::Range(0, 65535));
  up->add_flag("--detach", options->detach, "return when everything is ready; stop it with 'flux down'");
  line.runs(
      up, [options](Context& context) { return run(*options, context); },
      "  flux up\n  flux up --api 5 --workers 3 --port 9000 --detach\n"
      "  flux --config configs/distributed.yaml up --engines distributed\n");
}

}  // namespace flux::cli
