// flux capacity report|fit|queue: what a load needs, from models and measurements.

#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "cli/capacity/capacity_report.hpp"
#include "cli/capacity/queueing.hpp"
#include "cli/capacity/scalability_fit.hpp"
#include "cli/commands/all_commands.hpp"
#include "cli/commands/read_input.hpp"
#include "cli/loadtest/result.hpp"
#include "common/core/units.hpp"

namespace flux::cli {
namespace {

namespace json = boost::json;

template <class... Args>
std::string line(const char* format, Args... args) {
  char text[300];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

// "9.5", "10k", "1.5M", each with or without "/s".
Result<double> parse_rate(const std::string& option, std::string_view text) {
  const Error bad{Errc::invalid_argument, option + " is not a rate: '" + std::string(text) + "'",
                  "write it like 9.5, 10k or 1M"};
  if (text.ends_with("/s")) text.remove_suffix(2);
  double factor = 1;
  if (text.ends_with('k') || text.ends_with('K')) factor = 1e3;
  if (text.ends_with('M')) factor = 1e6;
  if (factor > 1) text.remove_suffix(1);
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return bad;
  return value * factor;
}

// --- fit

std::string interval(const capacity::Interval& i) {
  return i.high ? line("  95 %%: %.6g to %.6g", i.low, *i.high) : line("  95 %%: from %.6g", i.low);
}

std::string in_text(const capacity::ScalabilityFit& fit) {
  std::string text = line("alpha            %-12.6g contention", fit.alpha) + interval(fit.ci.alpha) +
                     line("\nbeta             %-12.6g coherence ", fit.beta) + interval(fit.ci.beta) +
                     line("\ngamma            %-12.6g per one   ", fit.gamma) + interval(fit.ci.gamma);
  if (fit.peak_n)
    text += line("\npeak n           %-12.4g           ", *fit.peak_n) + interval(fit.ci.peak_n);
  if (fit.peak_throughput)
    text += line("\npeak throughput  %-12.6g           ", *fit.peak_throughput) +
            interval(fit.ci.peak_throughput);
  if (fit.roof) text += line("\nroof             %-12.6g gamma / alpha", *fit.roof);
  text +=
      line("\nr2               %-12.6g measured from n = %g to %g\n", fit.r2, fit.smallest_n, fit.largest_n);
  for (const auto& note : fit.notes) text += "note: " + note + "\n";
  return text;
}

Result<ExitCode> fit(Context& context, const std::string& file) {
  const auto csv = read_input(file);
  if (!csv) return csv.error();
  const std::string name = file == "-" ? "stdin" : file;
  const auto points = capacity::parse_load_points(*csv, name);
  if (!points) return points.error();
  auto result = capacity::fit_scalability(*points);
  if (!result) {
    Error error = result.error();
    error.message = name + ": " + error.message;
    return error;
  }
  context.print(context.json() ? capacity::to_json(*result) : in_text(*result));
  return ExitCode::done;
}

// --- queue

struct QueueOptions {
  std::string arrival;
  std::string service;
  std::int64_t servers = 1;
};

Result<ExitCode> queue(Context& context, const QueueOptions& options) {
  const auto arrival = parse_rate("--arrival", options.arrival);
  if (!arrival) return arrival.error();
  const auto service = parse_rate("--service", options.service);
  if (!service) return service.error();
  const auto q = capacity::mmc_queue(*arrival, *service, options.servers);
  if (!q) return q.error();
  context.print(context.json() ? json::serialize(json::value{{"utilization", q->utilization},
                                                             {"p_wait", q->p_wait},
                                                             {"lq", q->lq},
                                                             {"wq", q->wq},
                                                             {"l", q->l},
                                                             {"w", q->w}})
                               : line("utilization  %.4g\np_wait       %.4g of the arrivals wait\n"
                                      "lq           %.4g waiting\nwq           %.4g s of waiting\n"
                                      "l            %.4g waiting or served\nw            %.4g s of both\n",
                                      q->utilization, q->p_wait, q->lq, q->wq, q->l, q->w));
  return ExitCode::done;
}

// --- report

struct ReportOptions {
  std::vector<std::string> rps{"10k", "100k", "1M"};
  std::vector<std::string> ceilings;
  std::string order_share = "100%";
  double batch = 100;
  std::string from;
  std::string html;
};

// Whether the run says of itself that it was honest; a missing verdict is not one.
bool is_certified(const std::string& text) {
  json::error_code ec;
  const json::value document = json::parse(text, ec);
  if (ec || !document.is_object()) return false;
  const auto* generator = document.get_object().if_contains("generator");
  const auto* verdict = generator != nullptr && generator->is_object()
                            ? generator->get_object().if_contains("verdict")
                            : nullptr;
  return verdict != nullptr && verdict->is_string() && verdict->get_string() == "valid";
}

Result<capacity::Measurement> measurement_of(const std::string& file, const SloConfig& slo) {
  const auto text = read_input(file);
  if (!text) return text.error();
  const auto run = loadtest::parse_result(*text, file);
  if (!run) return run.error();
  if (!is_certified(*text)) {
    std::string why;
    for (const auto& reason : run->generator.reasons) why += (why.empty() ? ": " : ", ") + reason;
    return Error{Errc::not_valid, "no capacity claim: the run in " + file + " is not certified valid" + why,
                 "run the load test where the generator is not the bottleneck"};
  }
  const double p95_ms = run->latency.response.p95;
  const double slo_ms = std::chrono::duration<double, std::milli>(slo.p95).count();
  if (p95_ms > slo_ms || run->error_rate() > slo.error_rate)
    return Error{Errc::threshold,
                 line("no capacity claim: the run in %.100s missed the SLO (p95 %.4g ms of %.4g ms, errors "
                      "%.3g %% of %.3g %%)",
                      file.c_str(), p95_ms, slo_ms, 100 * run->error_rate(), 100 * slo.error_rate),
                 "its throughput is more than the service carries; run it at a lower load"};
  return capacity::Measurement{file, run->rps, run->watch.first_saturated};
}

Result<capacity::ReportInput> input_of(const ReportOptions& options, const Config& config) {
  capacity::ReportInput input;
  input.loads.clear();
  for (const auto& text : options.rps) {
    const auto rps = parse_rate("--rps", text);
    if (!rps) return rps.error();
    input.loads.push_back(*rps);
  }
  const auto share = parse_percent(options.order_share);
  if (!share) return share.error();
  input.order_share = *share;
  input.orders_per_transaction = options.batch;
  for (const auto& text : options.ceilings) {
    const auto equals = text.find('=');
    const auto ceiling = parse_rate(
        "--ceiling " + text, equals == std::string::npos ? "" : std::string_view(text).substr(equals + 1));
    if (!ceiling) return ceiling.error();
    input.ceilings[text.substr(0, equals)] = *ceiling;
  }
  if (options.from.empty()) return input;
  auto measurement = measurement_of(options.from, config.slo);
  if (!measurement) return measurement.error();
  input.measurement = std::move(*measurement);
  return input;
}

Result<ExitCode> report(Context& context, const ReportOptions& options) {
  const auto config = context.config();
  if (!config) return config.error();
  const auto input = input_of(options, **config);
  if (!input) return input.error();
  const auto result = capacity::capacity_report(**config, *input);
  if (!result) return result.error();
  if (!options.html.empty()) {
    std::ofstream out(options.html, std::ios::binary);
    out << capacity::to_html(*result) << std::flush;
    if (!out)
      return Error{Errc::exhausted, "cannot write " + options.html,
                   "check the directory, its rights and its space"};
    context.progress("wrote " + options.html);
  }
  context.print(context.json() ? capacity::to_json(*result) : capacity::to_text(*result));
  return ExitCode::done;
}

void add_fit(CommandLine& line, CLI::App* capacity) {
  auto file = std::make_shared<std::string>();
  auto* command = capacity->add_subcommand("fit", "Fit the Universal Scalability Law to measured throughput");
  command->add_option("FILE", *file, "CSV with the columns n,throughput; - for stdin")->required();
  line.runs(
      command, [file](Context& context) { return fit(context, *file); },
      "  flux capacity fit throughput.csv\n"
      "  printf "
      "'n,throughput\\n1,64.9\\n18,995.9\\n36,1652.4\\n72,1853.2\\n108,1828.9\\n144,1775\\n216,1702.2\\n' |\n"
      "    flux capacity fit - -o json\n"
      "\nX(n) = gamma n / (1 + alpha (n - 1) + beta n (n - 1)), at least 6 points. alpha is contention, beta "
      "coherence.\n");
}

void add_queue(CommandLine& line, CLI::App* capacity) {
  auto options = std::make_shared<QueueOptions>();
  auto* command = capacity->add_subcommand("queue", "Waiting times of an M/M/c queue");
  command->add_option("--arrival", options->arrival, "arrivals per second")->required()->type_name("RATE");
  command->add_option("--service", options->service, "services per second of one server")
      ->required()
      ->type_name("RATE");
  command->add_option("--servers", options->servers, "servers that share one queue")
      ->required()
      ->type_name("N");
  line.runs(
      command, [options](Context& context) { return queue(context, *options); },
      "  flux capacity queue --arrival 9 --service 5 --servers 2\n"
      "  flux capacity queue --arrival 10k --service 1200 --servers 12 -o json\n");
}

void add_report(CommandLine& line, CLI::App* capacity) {
  auto options = std::make_shared<ReportOptions>();
  auto* command =
      capacity->add_subcommand("report", "What each load needs, what binds first, and what it costs");
  command->add_option("--rps", options->rps, "loads in requests per second (default 10k,100k,1M)")
      ->delimiter(',')
      ->type_name("N,…");
  command
      ->add_option("--from", options->from, "result of 'flux loadtest --out' that replaces the API's ceiling")
      ->type_name("RESULT.json");
  std::string names;
  for (const auto& name : capacity::component_names()) names += (names.empty() ? "" : ", ") + name;
  command
      ->add_option("--ceiling", options->ceilings,
                   "what one unit carries per second, as measured; of " + names)
      ->type_name("NAME=N");
  command
      ->add_option("--order-share", options->order_share,
                   "share of the requests that are orders (default 100%)")
      ->type_name("PERCENT");
  command->add_option("--batch", options->batch, "orders that one transaction settles (default 100)")
      ->type_name("N");
  command->add_option("--html", options->html, "also write one page with everything in it")
      ->type_name("FILE");
  line.runs(
      command, [options](Context& context) { return report(context, *options); },
      "  flux capacity report\n"
      "  flux capacity report --rps 5k,20k --order-share 70% --ceiling api=9200 -o json\n"
      "  flux loadtest --out run.json && flux capacity report --from run.json --html capacity.html\n");
}

}  // namespace

void add_capacity_command(CommandLine& line) {
  auto* capacity = line.root().add_subcommand("capacity", "Models of what the service carries");
  capacity->require_subcommand(1);
  capacity->fallthrough();
  add_report(line, capacity);
  add_fit(line, capacity);
  add_queue(line, capacity);
}

}  // namespace flux::cli
