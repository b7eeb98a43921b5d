#pragma once
// One line per exchange, as JSON or in the combined format. Each thread has its
// own, appending to the same file; lines are gathered and written whole.

#include <cstdint>
#include <string>
#include <string_view>

#include "daemons/balancer/settings.hpp"

namespace flux::balancer {

struct AccessEntry {
  std::string_view address;
  std::string_view method;
  std::string_view target;
  bool http11 = true;
  int status = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::int64_t duration_ns = 0;
  std::string_view upstream;
  unsigned attempts = 0;
  std::string_view reason;
  std::string_view request_id;
};

class AccessLog {
 public:
  static Result<AccessLog> open(AccessLogFormat format, const std::string& file);
  AccessLog(AccessLog&&) = default;
  AccessLog& operator=(AccessLog&&) = default;
  ~AccessLog() { flush(); }

  void write(const AccessEntry& entry);
  void flush();
  // After a rotation: the file of that name is opened anew.
  void reopen();

 private:
  AccessLog(AccessLogFormat format, std::string file, OwnedFd fd)
      : format_(format), file_(std::move(file)), fd_(std::move(fd)) {}

  AccessLogFormat format_;
  std::string file_;
  OwnedFd fd_;
  std::string pending_;
};

}  // namespace flux::balancer
