// flux lag: how far each consumer group is behind, whether it keeps up, and what to do.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <thread>

#include "cli/commands/all_commands.hpp"
#include "cli/inspect/group_lag.hpp"
#include "cli/inspect/lag_report.hpp"
#include "common/core/units.hpp"
#include "common/engines/open_engines.hpp"

namespace flux::cli {
namespace {

struct LagOptions {
  std::vector<std::string> groups;
  std::vector<std::string> topics;
  std::string threshold = "1000";
  std::string interval = "50ms";
  std::string watch;
};

struct LagRun {
  inspect::LagQuestion question;
  Duration interval{};              // between the two looks that give the rates; 0: one look, no rates
  std::optional<Duration> watch{};  // between looks, for ever
};

Result<LagRun> validated(const LagOptions& options, bool is_watching) {
  LagRun run{.question = {.groups = options.groups, .topics = options.topics}};
  const auto threshold = parse_count(options.threshold);
  if (!threshold) return threshold.error();
  run.question.threshold = static_cast<std::int64_t>(std::min<std::uint64_t>(*threshold, INT64_MAX));
  const auto interval = parse_duration(options.interval);
  if (!interval) return interval.error();
  run.interval = *interval;
  if (!is_watching) return run;
  const bool has_value = !options.watch.empty() && options.watch != "true" && options.watch != "{}";
  const auto watch = parse_duration(has_value ? options.watch : "2s");
  if (!watch) return watch.error();
  if (*watch < std::chrono::milliseconds{100})
    return Error{Errc::invalid_argument, "--watch " + options.watch + " is too often",
                 "use at least 100ms, e.g. --watch 2s"};
  run.watch = *watch;
  return run;
}

ExitCode verdict(const std::vector<inspect::GroupLag>& groups, std::int64_t threshold) {
  const bool bad = std::any_of(groups.begin(), groups.end(),
                               [&](const auto& group) { return inspect::is_in_trouble(group, threshold); });
  return bad ? ExitCode::threshold : ExitCode::done;
}

void show(Context& context, const std::vector<inspect::GroupLag>& groups, const LagRun& run) {
  if (context.json()) return context.print(inspect::lag_json(groups));
  std::string text = inspect::lag_text(groups, {.threshold = run.question.threshold,
                                                .color = context.color(),
                                                .all_partitions = context.verbose() > 0});
  // In place: home, the page, and nothing of the page before.
  if (run.watch && ::isatty(STDOUT_FILENO) == 1) text = "\033[H\033[2J" + text;
  context.print(text);
}

// Writing to a closed pipe fails silently, so a watch asks before.
bool nobody_reads_stdout() {
  pollfd out{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
  return ::poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

Result<ExitCode> run_lag(Context& context, const LagRun& run) {
  const auto config = context.config();
  if (!config) return config.error();
  const auto log = open_log_inspector(**config);
  if (!log) return log.error();
  inspect::LagWatch watch{**log, run.question, system_clock()};
  if (auto found = watch.discover(); !found) return found.error();
  if (auto looked = watch.look(); !looked) return looked.error();
  if (run.interval > Duration{0}) {
    std::this_thread::sleep_for(run.interval);
    if (auto looked = watch.look(); !looked) return looked.error();
  }
  auto groups = watch.report();
  show(context, groups, run);
  // Until it is interrupted, or the log is gone.
  while (run.watch) {
    std::this_thread::sleep_for(*run.watch);
    if (nobody_reads_stdout()) break;
    if (auto found = watch.discover(); !found) return found.error();
    if (auto looked = watch.look(); !looked) return looked.error();
    groups = watch.report();
    show(context, groups, run);
  }
  return verdict(groups, run.question.threshold);
}

}  // namespace

void add_lag_command(CommandLine& line) {
  const auto options = std::make_shared<LagOptions>();
  auto* lag =
      line.root().add_subcommand("lag", "Show how far consumer groups are behind, and whether they keep up");
  lag->add_option("--group", options->groups, "this group (repeatable); default all")
      ->type_name("G")
      ->allow_extra_args(false);
  lag->add_option("--topic", options->topics, "this topic only (repeatable)")
      ->type_name("T")
      ->allow_extra_args(false);
  lag->add_option("--threshold", options->threshold, "a group with more lag than this ends in exit code 3")
      ->type_name("N")
      ->capture_default_str();
  auto* watch = lag->add_option("--watch", options->watch, "look again every 2s, or as often as told")
                    ->type_name("[EVERY]")
                    ->expected(0, 1);
  lag->add_option("--interval", options->interval,
                  "time between the two looks that give the rates; 0: one look, no rates")
      ->type_name("TIME")
      ->capture_default_str();
  line.runs(
      lag,
      [options, watch](Context& context) -> Result<ExitCode> {
        const auto run = validated(*options, watch->count() > 0);
        if (!run) return run.error();
        return run_lag(context, *run);
      },
      "  flux lag\n"
      "  flux lag --group inventory --threshold 500 -o json | jq '.groups[].lag'\n"
      "  flux lag --watch 2s\n");
}

}  // namespace flux::cli
