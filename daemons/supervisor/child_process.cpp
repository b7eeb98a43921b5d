#include "daemons/supervisor/child_process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

namespace flux::supervisor {
namespace {

// The fields of /proc/PID/stat after the command name, which may contain anything.
std::optional<std::vector<std::string>> stat_fields(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(in, text)) return std::nullopt;
  const auto end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(end_of_name + 1));
  std::vector<std::string> fields{"pid", "name"};
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields.size() > 23 ? std::optional{fields} : std::nullopt;
}

}  // namespace

Result<pid_t> spawn_child(const std::vector<std::string>& arguments, const std::string& log_file) {
  const int log = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (log < 0)
    return Error{Errc::exhausted, "cannot open " + log_file + " (" + std::strerror(errno) + ")",
                 "check the data directory and the disk"};
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(143);  // the parent died before prctl
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setpgid(0, 0);  // Ctrl-C goes to the supervisor, which drains in order
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(log);
  if (child < 0)
    return Error{Errc::exhausted, std::string("cannot start a process (") + std::strerror(errno) + ")"};
  return child;
}

std::optional<std::uint64_t> process_start_ticks(pid_t pid) {
  const auto fields = stat_fields(pid);
  if (!fields || (*fields)[2] == "Z") return std::nullopt;
  return std::strtoull((*fields)[21].c_str(), nullptr, 10);
}

std::optional<ProcessUsage> process_usage(pid_t pid) {
  const auto fields = stat_fields(pid);
  if (!fields) return std::nullopt;
  const double ticks =
      std::strtod((*fields)[13].c_str(), nullptr) + std::strtod((*fields)[14].c_str(), nullptr);
  return ProcessUsage{ticks / static_cast<double>(::sysconf(_SC_CLK_TCK)),
                      std::strtoull((*fields)[23].c_str(), nullptr, 10) *
                          static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))};
}

}  // namespace flux::supervisor
