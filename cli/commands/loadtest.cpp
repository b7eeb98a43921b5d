// flux loadtest: drives users or a rate at a service and says what it stood.

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "cli/commands/all_commands.hpp"
#include "cli/commands/live_terminal.hpp"
#include "cli/loadtest/comparison.hpp"
#include "cli/loadtest/live_panel.hpp"
#include "cli/loadtest/run_loadtest.hpp"
#include "cli/loadtest/summary_text.hpp"
#include "common/core/units.hpp"

namespace flux::cli {
namespace {

using namespace loadtest;

// As written on the command line.
struct LoadtestOptions {
  std::string host;
  std::string users = "100";
  std::string spawn_rate;
  std::string run_time;
  std::uint64_t requests_per_user = 0;
  std::string rate;
  std::string stages;
  std::string think;
  std::uint32_t threads = 0;
  std::string scenario;
  std::string path;
  std::string method = "GET";
  std::vector<std::string> headers;
  std::string body;
  bool no_keepalive = false;
  bool no_calibration = false;
  std::string warmup = "0";
  std::string timeout = "30s";
  std::vector<std::string> thresholds;
  std::string report;
  std::string out;
  std::string hdr;
  std::string csv;
  std::string baseline;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> compared;
};

// Set by Ctrl-C; the handler may only touch lock-free atomics.
std::atomic<int> interrupting_signal{0};

class SignalGuard {
 public:
  SignalGuard() {
    interrupting_signal = 0;
    struct sigaction action {};
    action.sa_handler = [](int number) { interrupting_signal = number; };
    ::sigaction(SIGINT, &action, &before_int_);
    ::sigaction(SIGTERM, &action, &before_term_);
  }
  ~SignalGuard() {
    ::sigaction(SIGINT, &before_int_, nullptr);
    ::sigaction(SIGTERM, &before_term_, nullptr);
  }
  SignalGuard(const SignalGuard&) = delete;

 private:
  struct sigaction before_int_ {};
  struct sigaction before_term_ {};
};

Result<double> parse_rate(std::string text) {
  if (text.ends_with("/s")) text.resize(text.size() - 2);
  const auto count = parse_count(text);
  if (!count) return count.error();
  return static_cast<double>(*count);
}

Result<Scenario> chosen_scenario(const LoadtestOptions& o) {
  if (!o.scenario.empty() && !o.path.empty())
    return Error{Errc::invalid_argument, "--scenario and --url are two different loads", "give one of them"};
  if (!o.scenario.empty()) return load_scenario(o.scenario);
  if (o.path.empty()) return order_mix();
  return single_request({o.path, o.method, o.headers, o.body});
}

Result<> read_load(const LoadtestOptions& o, RunPlan& plan) {
  const auto users = parse_count(o.users);
  if (!users) return users.error();
  if (*users == 0 || *users > 10'000'000)
    return Error{Errc::invalid_argument, "--users must be between 1 and 10M", "100 is the default"};
  plan.users.users = static_cast<std::uint32_t>(*users);
  if (!o.stages.empty()) {
    auto stages = parse_stages(o.stages);
    if (!stages) return stages.error();
    plan.users.stages = std::move(*stages);
    plan.run_time = plan.users.settles_after();
  }
  if (!o.rate.empty()) {
    const auto rate = parse_rate(o.rate);
    if (!rate) return rate.error();
    plan.rate = *rate;
    if (plan.rate <= 0)
      return Error{Errc::invalid_argument, "--rate must be above 0", "write it like --rate 5000"};
    if (!o.stages.empty())
      return Error{Errc::invalid_argument, "--stages sets users and --rate sets arrivals",
                   "give one of them"};
  }
  if (!o.think.empty()) {
    const auto think = parse_think_time(o.think);
    if (!think) return think.error();
    plan.think = *think;
  }
  if (!o.spawn_rate.empty()) {
    const auto rate = parse_rate(o.spawn_rate);
    if (!rate) return rate.error();
    plan.users.spawn_rate = *rate;
  } else if (plan.rate == 0) {
    // As fast as the same users send later, so that the start is not a load of its own.
    const ThinkTime think = plan.think.value_or(
        plan.scenario.think.value_or(ThinkTime{std::chrono::seconds{1}, std::chrono::seconds{3}}));
    const double mean_s = static_cast<double>((think.least + think.most).count()) / 2e9;
    if (mean_s > 0) plan.users.spawn_rate = plan.users.users / mean_s;
  }
  return {};
}

Result<RunPlan> plan_of(const LoadtestOptions& o, const Config& config) {
  RunPlan plan;
  const auto target = resolve_target(o.host.empty() ? "http://" + config.balancer.listen : o.host);
  if (!target) return target.error();
  plan.target = *target;
  auto scenario = chosen_scenario(o);
  if (!scenario) return scenario.error();
  plan.scenario = std::move(*scenario);
  if (!o.path.empty() && o.think.empty() && o.rate.empty()) plan.scenario.think = ThinkTime{};
  if (auto read = read_load(o, plan); !read) return read.error();
  plan.requests_per_user = o.requests_per_user;
  if (plan.requests_per_user != 0) plan.run_time = std::chrono::minutes{10};
  for (const auto& [text, value] :
       {std::pair{&o.run_time, &plan.run_time}, std::pair{&o.warmup, &plan.warmup},
        std::pair{&o.timeout, &plan.timeout}}) {
    if (text->empty()) continue;
    const auto duration = parse_duration(*text);
    if (!duration) return duration.error();
    *value = *duration;
  }
  if (plan.run_time <= plan.warmup)
    return Error{Errc::invalid_argument, "--run-time must be longer than --warmup",
                 "nothing would be measured"};
  if (plan.timeout <= Duration::zero())
    return Error{Errc::invalid_argument, "--timeout must be above 0", "write it like --timeout 10s"};
  plan.keep_alive = !o.no_keepalive;
  plan.calibrate = !o.no_calibration;
  plan.threads = o.threads;
  plan.seed = o.seed ? *o.seed : std::random_device{}();
  auto thresholds = parse_thresholds(o.thresholds, plan.scenario.names);
  if (!thresholds) return thresholds.error();
  plan.thresholds = std::move(*thresholds);
  return plan;
}

Result<> write_file(const std::string& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out)
    return Error{Errc::exhausted, "cannot write " + file, "check the directory, its rights and free space"};
  return {};
}

// "run.hgrm" -> "run.service.hgrm"
std::string beside(const std::string& file, const std::string& what) {
  const std::filesystem::path path(file);
  return (path.parent_path() / (path.stem().string() + what + path.extension().string())).string();
}

Result<> write_outputs(const LoadtestOptions& o, const RunOutput& output) {
  if (!o.report.empty())
    if (auto written = write_file(o.report, to_html(output.result)); !written) return written.error();
  if (!o.out.empty())
    if (auto written = write_file(o.out, to_json(output.result) + "\n"); !written) return written.error();
  if (!o.hdr.empty()) {
    if (auto written = write_file(o.hdr, output.response.hgrm()); !written) return written.error();
    if (auto written = write_file(beside(o.hdr, ".service"), output.service.hgrm()); !written)
      return written.error();
  }
  if (!o.csv.empty())
    if (auto written = write_file(o.csv, to_csv(output.result)); !written) return written.error();
  return {};
}

// Keys and drawing on a terminal; elsewhere a line every few seconds.
class Watcher {
 public:
  Watcher(Context& context, const RunPlan& plan, RunControl& control)
      : context_(context), plan_(plan), control_(control) {
    if (!context.quiet() && LiveTerminal::possible()) terminal_.emplace();
  }

  void operator()(const LiveView& view) {
    if (interrupting_signal != 0) control_.stop = true;
    if (terminal_) {
      while (const auto key = terminal_->key()) press(*key);
      const bool color = !context_.options().no_color && std::getenv("NO_COLOR") == nullptr;
      terminal_->draw(
          render_panel(view, plan_.scenario.name + " on " + plan_.target.url, terminal_->width(), color));
    } else if (view.elapsed_s >= next_line_s_) {
      next_line_s_ += kLineEverySeconds;
      context_.progress(progress_line(view));
    }
  }

 private:
  static constexpr double kLineEverySeconds = 3;

  void press(char key) {
    const auto step = static_cast<std::int32_t>(std::max(1U, plan_.users.most_users() / 10));
    if (key == '+') control_.more_users += step;
    if (key == '-') control_.more_users -= step;
    if (key == 'q') control_.stop = true;
  }

  Context& context_;
  const RunPlan& plan_;
  RunControl& control_;
  std::optional<LiveTerminal> terminal_;
  double next_line_s_ = kLineEverySeconds;
};

Result<ExitCode> compare(const std::vector<std::string>& files, Context& context) {
  if (files.size() != 2)
    return Error{Errc::invalid_argument, "compare needs two results",
                 "flux loadtest compare before.json after.json"};
  const auto before = load_result(files[0]);
  if (!before) return before.error();
  const auto after = load_result(files[1]);
  if (!after) return after.error();
  const Comparison comparison = compare_results(*before, *after);
  context.print(context.json() ? comparison_json(comparison) : comparison_text(comparison, context.color()));
  return ExitCode::done;
}

Result<ExitCode> run(const LoadtestOptions& options, Context& context) {
  const auto config = context.config();
  if (!config) return config.error();
  const auto plan = plan_of(options, **config);
  if (!plan) return plan.error();
  std::optional<RunResult> baseline;
  if (!options.baseline.empty()) {
    auto loaded = load_result(options.baseline);
    if (!loaded) return loaded.error();
    baseline = std::move(*loaded);
  }
  const SignalGuard guard;
  RunControl control;
  auto output = [&] {
    Watcher watcher(context, *plan, control);
    return run_loadtest(*plan, control, std::ref(watcher));
  }();
  if (!output) return output.error();
  RunResult& result = output->result;
  if (baseline) result.baseline = compare_results(*baseline, result);
  if (auto written = write_outputs(options, *output); !written) return written.error();
  context.print(context.json() ? to_json(result) : summary_text(result, context.color()));
  if (interrupting_signal != 0)
    return interrupting_signal == SIGTERM ? ExitCode::terminated : ExitCode::interrupted;
  if (result.generator.verdict != Verdict::valid) return ExitCode::not_valid;
  return result.thresholds_met() ? ExitCode::done : ExitCode::threshold;
}

}  // namespace

void add_loadtest_command(CommandLine& line) {
  auto* command =
      line.root().add_subcommand("loadtest", "Load a service with users or a rate, and measure it honestly");
  auto o = std::make_shared<LoadtestOptions>();
  command->add_option("--host", o->host, "target (else the configured balancer)")->type_name("URL");
  command->add_option("-u,--users", o->users, "users at the same time; with --rate at most so many")
      ->type_name("N");
  command->add_option("-r,--spawn-rate", o->spawn_rate, "users started per second")->type_name("N/s");
  command->add_option("-t,--run-time", o->run_time, "how long (30s; with --requests-per-user at most 10m)");
  command->add_option("--requests-per-user", o->requests_per_user, "every user ends after so many")
      ->type_name("N");
  command->add_option("--rate", o->rate, "open model: so many arrivals per second, whatever the answers do")
      ->type_name("N/s");
  command->add_option("--stages", o->stages, "ramps, like 10s:100,1m:5000,10s:0")
      ->type_name("LENGTH:USERS,…");
  command->add_option("--think", o->think, "pause of a user between requests (1s-3s)")->type_name("1s-3s|0");
  command->add_option("--threads", o->threads, "generator threads (half the cores)")->type_name("N");
  command->add_option("--scenario", o->scenario, "what users do; see configs/scenarios/")->type_name("FILE");
  command->add_option("--url", o->path, "one request only, without think time")->type_name("PATH");
  command->add_option("--method", o->method, "of --url")->type_name("M");
  command->add_option("--header", o->headers, "of --url; repeatable")->type_name("'Name: value'");
  command->add_option("--body", o->body, "of --url; {{uuid}} {{seq}} {{rand 1 9}} are filled in")
      ->type_name("TEXT");
  command->add_flag("--no-keepalive", o->no_keepalive, "a new connection for every request");
  command->add_flag("--no-calibration", o->no_calibration, "do not measure the generator itself first");
  command->add_option("--warmup", o->warmup, "not measured at the start")->type_name("2s");
  command->add_option("--timeout", o->timeout, "an answer later than this is an error (30s)");
  command
      ->add_option("--threshold", o->thresholds, "p95<200ms, error_rate<0.1%, rps>4000, …; not met: exit 3")
      ->type_name("EXPR");
  command->add_option("--report", o->report, "write a page with charts, whole in one file")
      ->type_name("FILE.html");
  command->add_option("--out", o->out, "write the result as JSON")->type_name("FILE.json");
  command
      ->add_option("--hdr", o->hdr,
                   "write the response times as an HdrHistogram, the service times beside it")
      ->type_name("FILE.hgrm");
  command->add_option("--csv", o->csv, "write the timeline")->type_name("FILE");
  command->add_option("--seed", o->seed, "the same choices, keys and pauses again")->type_name("N");
  command->add_option("--baseline", o->baseline, "say what changed against an earlier --out")
      ->type_name("FILE.json");
  auto* comparing =
      command->add_subcommand("compare", "Say what changed between two results, and whether it is noise");
  comparing->add_option("files", o->compared, "two files of --out")
      ->type_name("A.json B.json")
      ->expected(2)
      ->required();
  comparing->fallthrough();
  comparing->footer("\nExamples:\n  flux loadtest compare before.json after.json\n");
  line.runs(
      command,
      [o, comparing](Context& context) {
        return comparing->parsed() ? compare(o->compared, context) : run(*o, context);
      },
      "  flux loadtest --users 10000                       the order mix, think 1-3 s, for 30 s\n"
      "  flux loadtest --host http://127.0.0.1:8000 --url /health -u 100 -t 10s\n"
      "  flux loadtest --rate 5000 -u 2000 -t 1m --threshold 'p95<200ms' --threshold "
      "'error_rate<0.1%,abort'\n"
      "  flux loadtest --scenario configs/scenarios/flash-sale.yaml --stages 10s:100,1m:5000,10s:0 --out "
      "run.json\n");
}

}  // namespace flux::cli
