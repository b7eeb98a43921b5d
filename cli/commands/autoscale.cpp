// flux autoscale decide: metrics and history in, a replica count and its reason out.

#include <cstdio>

#include "cli/autoscale/decision_document.hpp"
#include "cli/commands/all_commands.hpp"
#include "cli/commands/read_input.hpp"

namespace flux::cli {
namespace {

std::string in_text(const autoscale::Decision& decision) {
  char row[160];
  std::string text = "current  " + std::to_string(decision.current) + "\ndesired  " +
                     std::to_string(decision.desired) + "\nreason   " + decision.reason + "\n";
  if (decision.limited_by) text += "limited  " + std::string(to_string(*decision.limited_by)) + "\n";
  if (decision.per_metric.empty()) return text;
  std::snprintf(row, sizeof row, "\n%-24s %8s %8s\n", "metric", "ratio", "desired");
  text += row;
  for (const auto& p : decision.per_metric) {
    char ratio[32] = "-";
    if (p.ratio) std::snprintf(ratio, sizeof ratio, "%.3f", *p.ratio);
    std::snprintf(row, sizeof row, "%-24.100s %8s %8s", p.metric.c_str(), ratio,
                  p.desired ? std::to_string(*p.desired).c_str() : "-");
    text += row + (p.error.empty() ? "\n" : "  " + p.error + "\n");
  }
  return text;
}

Result<ExitCode> decide(Context& context, const std::string& file) {
  const auto document = read_input(file);
  if (!document) return document.error();
  const auto input = autoscale::parse_decision_input(*document);
  if (!input) return input.error();
  const auto decision = autoscale::decide(*input);
  context.print(context.json() ? autoscale::to_json(decision) : in_text(decision));
  return ExitCode::done;
}

}  // namespace

void add_autoscale_command(CommandLine& line) {
  auto* autoscale = line.root().add_subcommand("autoscale", "Decide how many replicas the metrics ask for");
  autoscale->require_subcommand(1);
  autoscale->fallthrough();
  auto file = std::make_shared<std::string>();
  auto* command = autoscale->add_subcommand(
      "decide", "Replica count for given metrics and history, by the arithmetic of the Kubernetes HPA v2");
  command->add_option("--input", *file, "the JSON document with metrics and history; - for stdin")
      ->required()
      ->type_name("FILE");
  line.runs(
      command, [file](Context& context) { return decide(context, *file); },
      "  flux autoscale decide --input metrics.json\n"
      "  echo '{\"current\":3,\"metrics\":[{\"type\":\"external\",\"name\":\"lag\","
      "\"target\":{\"averageValue\":2150},\"value\":8600}]}' | flux autoscale decide --input - -o json\n"
      "\nThe document: current, metrics[{type: resource|pods|object|external, name, "
      "target{averageUtilization|\n"
      "averageValue|value, tolerance}, samples{POD: n}, sample_age_s, window_s, value, unavailable}], min, "
      "max,\n"
      "tolerance{up, down}, pods[{name, phase, ready, deleted, request_milli, age_s, ready_since_s}],\n"
      "behavior{scaleUp, scaleDown}, history[{age_s, recommendation}], events[{age_s, change}].\n"
      "Without `history` the decision is that of a controller that has just started, which does not scale "
      "down\n"
      "before its window has passed; `\"history\": []` says that nothing was recommended before.\n");
}

}  // namespace flux::cli
