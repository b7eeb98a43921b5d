// flux status: every service and replica of the local stack.

#include <boost/json.hpp>
#include <cstdio>

#include "cli/commands/all_commands.hpp"
#include "cli/commands/local_stack.hpp"
#include "common/core/units.hpp"

namespace flux::cli {
namespace {

namespace json = boost::json;

std::string row(const json::object& replica, bool color) {
  const std::string state(replica.at("state").as_string());
  const char* paint = !color               ? ""
                      : state == "ready"   ? "\033[32m"
                      : state == "backoff" ? "\033[31m"
                                           : "\033[33m";
  const auto seconds = std::chrono::duration<double>(replica.at("uptime_s").to_number<double>());
  char text[256];
  std::snprintf(text, sizeof text, "  %-20s %s%-9s%s %-21s %7lld %8lld %8s %5.0f%% %10s\n",
                replica.at("id").as_string().c_str(), paint, state.c_str(), color ? "\033[0m" : "",
                replica.at("address").as_string().c_str(),
                static_cast<long long>(replica.at("pid").as_int64()),
                static_cast<long long>(replica.at("restarts").as_int64()),
                format_duration(std::chrono::duration_cast<Duration>(seconds)).c_str(),
                replica.at("cpu_percent").to_number<double>(),
                format_size(replica.at("rss_bytes").to_number<std::uint64_t>()).c_str());
  return text;
}

Result<ExitCode> run(Context& context) {
  const auto status = ask_supervisor(context, "GET", "/status");
  if (!status) return status.error();
  const auto document = json::parse(*status).as_object();
  bool healthy = true;
  std::string text = "url  " + std::string(document.at("url").as_string()) + "\n";
  for (const auto& service : document.at("services").as_array()) {
    const auto ready = service.at("ready").as_int64();
    const auto desired = service.at("desired").as_int64();
    healthy = healthy && ready == desired;
    text += std::string(service.at("name").as_string()) + "  " + std::to_string(ready) + "/" +
            std::to_string(desired) + " ready\n";
    for (const auto& replica : service.at("replicas").as_array())
      text += row(replica.as_object(), context.color());
  }
  context.print(context.json() ? *status : text);
  return healthy ? ExitCode::done : ExitCode::threshold;
}

}  // namespace

void add_status_command(CommandLine& line) {
  line.runs(line.root().add_subcommand("status", "Show the services and replicas started by 'flux up'"), run,
            "  flux status\n  flux status -o json | jq '.services[].ready'\n");
}

}  // namespace flux::cli
