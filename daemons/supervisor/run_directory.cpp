#include "daemons/supervisor/run_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "common/core/log.hpp"
#include "daemons/supervisor/child_process.hpp"

namespace flux::supervisor {
namespace fs = std::filesystem;
namespace {

constexpr std::uintmax_t kRotateLogsAbove = 10 << 20;

Error cannot(const std::string& what, int error_number) {
  return {error_number == ENOSPC ? Errc::exhausted : Errc::internal,
          "cannot " + what + " (" + std::strerror(error_number) + ")",
          "check the data directory (--data) and the disk"};
}

}  // namespace

Result<RunDirectory> RunDirectory::open(const std::string& data) {
  std::error_code ec;
  const std::string root = fs::absolute(data, ec).lexically_normal().string();
  const std::string run = root + "/run";
  const std::string logs = root + "/logs";
  for (const std::string& folder : {run, logs}) {
    fs::create_directories(folder, ec);
    if (ec) return cannot("create " + folder, ec.value());
  }
  for (const auto& file : fs::directory_iterator(logs, ec))
    if (file.path().extension() == ".log" && file.file_size(ec) > kRotateLogsAbove)
      fs::rename(file.path(), file.path().string() + ".1", ec);

  const std::string lock_file = run + "/supervisor.lock";
  const int lock = ::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (lock < 0) return cannot("open " + lock_file, errno);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = {};
    [[maybe_unused]] const auto n = ::pread(lock, pid, sizeof pid - 1, 0);
    ::close(lock);
    return Error{Errc::conflict, "flux is up already in " + root + " (supervisor pid " + pid + ")",
                 "see 'flux status', stop it with 'flux down', or use another --data"};
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(lock, 0) != 0 || ::pwrite(lock, pid.data(), pid.size(), 0) < 0) {
    const int error_number = errno;
    ::close(lock);
    return cannot("write " + lock_file, error_number);
  }
  return RunDirectory(run, logs, lock);
}

RunDirectory::RunDirectory(RunDirectory&& other) noexcept
    : run_(std::move(other.run_)), logs_(std::move(other.logs_)), lock_(std::exchange(other.lock_, -1)) {}

RunDirectory::~RunDirectory() {
  if (lock_ < 0) return;
  std::error_code ec;
  fs::remove(control_socket(), ec);
  ::close(lock_);
}

Result<> RunDirectory::replace_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  {
    std::ofstream out(fresh, std::ios::trunc);
    out << text;
    out.flush();
    if (!out) return cannot("write " + fresh, errno);
  }
  std::error_code ec;
  fs::rename(fresh, path, ec);
  if (ec) return cannot("replace " + path, ec.value());
  return {};
}

Result<> RunDirectory::record(const std::vector<LiveReplica>& replicas) const {
  std::string text;
  for (const LiveReplica& replica : replicas)
    text += replica.id + " " + std::to_string(replica.pid) + " " + std::to_string(replica.start_ticks) + "\n";
  return replace_file(run_ + "/replicas", text);
}

void RunDirectory::clear_leftovers(int patience_ms) const {
  std::vector<LiveReplica> alive;
  const auto is_alive = [](const LiveReplica& r) { return process_start_ticks(r.pid) == r.start_ticks; };
  {
    std::ifstream in(run_ + "/replicas");
    LiveReplica replica;
    while (in >> replica.id >> replica.pid >> replica.start_ticks)
      if (is_alive(replica)) alive.push_back(replica);
  }
  if (alive.empty()) return;
  log::info("replicas of a former supervisor still drain", {{"count", std::to_string(alive.size())}});
  for (const LiveReplica& replica : alive) ::kill(replica.pid, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds{patience_ms};
  while (!alive.empty()) {
    std::erase_if(alive, [&](const LiveReplica& r) { return !is_alive(r); });
    if (std::chrono::steady_clock::now() >= deadline)
      for (const LiveReplica& replica : alive) ::kill(replica.pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
}

}  // namespace flux::supervisor
