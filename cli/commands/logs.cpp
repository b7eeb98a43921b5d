// flux logs: the log lines of the local stack's replicas, merged by time, and followed.

#include <algorithm>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "cli/commands/all_commands.hpp"
#include "common/core/units.hpp"
#include "daemons/supervisor/run_supervisor.hpp"

namespace flux::cli {
namespace {

namespace fs = std::filesystem;

struct LogsOptions {
  std::string who;  // service or replica; empty: all
  bool follow = false;
  std::string since;
};

volatile std::sig_atomic_t g_interrupted = 0;

// "2026-01-02T03:04:05.678Z", as every flux log line begins (the JSON format
// carries the same text in its first field).
std::string timestamp_of(const std::string& line) {
  constexpr std::size_t kLength = 24;
  const std::size_t start = line.starts_with("{\"time\":\"") ? 9 : 0;
  if (line.size() < start + kLength || line[start + 4] != '-' || line[start + 10] != 'T') return "";
  return line.substr(start, kLength);
}

std::string timestamp_before_now(Duration age) {
  const auto at =
      std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(age);
  const std::time_t seconds = std::chrono::system_clock::to_time_t(at);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", &parts);
  return text;
}

bool wanted(const std::string& replica, const std::string& who) {
  if (who.empty() || replica == who) return true;
  const auto dash = replica.rfind('-');
  return dash != std::string::npos && replica.substr(0, dash) == who;
}

// Reads on where it stopped; starts again when the file was replaced by a shorter one.
class Tail {
 public:
  explicit Tail(fs::path file) : file_(std::move(file)) {}
  std::vector<std::string> read() {
    std::error_code ec;
    const auto size = fs::file_size(file_, ec);
    if (!ec && size < static_cast<std::uintmax_t>(position_)) position_ = 0;
    std::ifstream in(file_);
    in.seekg(position_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line) && !in.eof(); lines.push_back(std::move(line)))
      position_ = in.tellg();
    return lines;
  }

 private:
  fs::path file_;
  std::streamoff position_ = 0;
};

Result<ExitCode> run(const LogsOptions& options, Context& context) {
  const auto config = context.config();
  if (!config) return config.error();
  std::string oldest;
  if (!options.since.empty()) {
    const auto age = parse_duration(options.since);
    if (!age) return age.error();
    oldest = timestamp_before_now(*age);
  }
  const fs::path folder = supervisor::log_directory((*config)->data);
  std::error_code ec;
  if (!fs::is_directory(folder, ec))
    return Error{Errc::not_found, "no logs in " + folder.string(),
                 "start the stack with 'flux up', or name its directory with --data"};

  std::signal(SIGINT, [](int) { g_interrupted = 1; });
  std::map<std::string, Tail> tails;
  while (true) {
    for (const auto& file : fs::directory_iterator(folder, ec)) {
      const std::string replica = file.path().stem().string();
      if (file.path().extension() == ".log" && wanted(replica, options.who))
        tails.try_emplace(replica, file.path());
    }
    if (tails.empty() && !options.follow)
      return Error{Errc::not_found, "no logs of '" + options.who + "'",
                   "'flux status' names services and replicas"};
    struct Line {
      std::string time;
      std::string text;
    };
    std::vector<Line> lines;
    for (auto& [replica, tail] : tails) {
      std::string last;  // lines without a time belong to the one before
      for (std::string& line : tail.read()) {
        if (auto time = timestamp_of(line); !time.empty()) last = std::move(time);
        if (last < oldest) continue;
        lines.push_back({last, replica + " | " + line});
      }
    }
    std::ranges::stable_sort(lines, {}, &Line::time);
    for (const Line& line : lines) context.print(line.text);
    if (!options.follow) return ExitCode::done;
    if (g_interrupted != 0) return ExitCode::interrupted;
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
  }
}

}  // namespace

void add_logs_command(CommandLine& line) {
  auto options = std::make_shared<LogsOptions>();
  auto* logs = line.root().add_subcommand("logs", "Show the logs of the local stack, merged by time");
  logs->add_option("who", options->who, "a service (api) or a replica (api-2); all unless given");
  logs->add_flag("-f,--follow", options->follow, "go on as lines come");
  logs->add_option("--since", options->since, "only lines younger than this, e.g. 5m");
  line.runs(
      logs, [options](Context& context) { return run(*options, context); },
      "  flux logs\n  flux logs api -f\n  flux logs worker-inventory-1 --since 5m\n");
}

}  // namespace flux::cli
