#pragma once
// <data>/run and <data>/logs: where a supervisor and its replicas meet. One
// supervisor per data directory, by a lock that dies with its process.

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "common/core/result.hpp"

namespace flux::supervisor {

struct LiveReplica {
  std::string id;
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
};

class RunDirectory {
 public:
  // Creates the folders and takes the lock. `conflict` when another supervisor has it.
  static Result<RunDirectory> open(const std::string& data);
  RunDirectory(RunDirectory&& other) noexcept;
  RunDirectory& operator=(RunDirectory&&) = delete;
  ~RunDirectory();

  std::string control_socket() const { return run_ + "/control.sock"; }
  std::string upstreams_file() const { return run_ + "/upstreams"; }
  std::string address_file(const std::string& replica) const { return run_ + "/" + replica + ".address"; }
  std::string log_file(const std::string& replica) const { return logs_ + "/" + replica + ".log"; }

  // Written whole or not at all.
  static Result<> replace_file(const std::string& path, const std::string& text);

  // What a killed supervisor's replicas need to be found again.
  Result<> record(const std::vector<LiveReplica>& replicas) const;
  // Replicas of a former supervisor that still drain: waits up to `patience`, then kills them.
  void clear_leftovers(int patience_ms) const;

 private:
  RunDirectory(std::string run, std::string logs, int lock)
      : run_(std::move(run)), logs_(std::move(logs)), lock_(lock) {}
  std::string run_;
  std::string logs_;
  int lock_ = -1;
};

}  // namespace flux::supervisor
