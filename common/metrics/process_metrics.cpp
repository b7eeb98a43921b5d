#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "common/metrics/registry.hpp"

namespace flux {
namespace {

double cpu_seconds() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_bytes() {
  long pages = 0, resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double open_descriptors() {
  struct stat status {};
  if (::stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
    return static_cast<double>(status.st_size);  // since Linux 6.2, without listing them
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  int n = 0;
  while (::readdir(directory) != nullptr) ++n;
  ::closedir(directory);
  return n - 3;  // ".", ".." and the directory itself
}

}  // namespace

void register_process_metrics(MetricsRegistry& registry) {
  auto& cpu =
      registry.sampled_counter("process_cpu_seconds_total", "User and system CPU time spent in seconds.");
  auto& rss = registry.gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
  auto& descriptors = registry.gauge("process_open_fds", "Number of open file descriptors.");
  registry.gauge("process_start_time_seconds", "Start time of the process since the Unix epoch in seconds.")
      .set(std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
  registry.before_exposition([&cpu, &rss, &descriptors] {
    cpu.set(cpu_seconds());
    rss.set(resident_bytes());
    descriptors.set(open_descriptors());
  });
}

}  // namespace flux
