#include "daemons/balancer/access_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "common/core/log.hpp"

namespace flux::balancer {
namespace {

constexpr std::size_t kGather = 32 << 10;

Result<OwnedFd> open_for_append(const std::string& file) {
  OwnedFd fd(file == "-" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                         : ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
  if (!fd)
    return Error{Errc::unavailable, "cannot write the access log " + file + ": " + std::strerror(errno),
                 "set balancer.access_log to a writable file"};
  return fd;
}

// Heads were checked for control characters; quotes, backslashes and bytes above
// ASCII are what is left to escape.
void append_escaped(std::string& out, std::string_view text, bool json) {
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20 || u >= 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, json ? "\\u%04x" : "\\x%02x", u);
      out += escaped;
    } else {
      out += c;
    }
  }
}

std::string time_text(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[48];
  std::strftime(text, sizeof text, format, &parts);
  return text;
}

void append_json(std::string& out, const AccessEntry& e) {
  const auto text = [&out](const char* key, std::string_view value) {
    out += ",\"";
    out += key;
    out += "\":\"";
    append_escaped(out, value, true);
    out += '"';
  };
  out += "{\"time\":\"" + time_text("%Y-%m-%dT%H:%M:%SZ") + '"';
  text("client", e.address);
  text("method", e.method);
  text("target", e.target);
  out += ",\"status\":" + std::to_string(e.status) + ",\"bytes_in\":" + std::to_string(e.bytes_in) +
         ",\"bytes_out\":" + std::to_string(e.bytes_out) +
         ",\"duration_us\":" + std::to_string(e.duration_ns / 1000) +
         ",\"attempts\":" + std::to_string(e.attempts);
  text("upstream", e.upstream);
  text("reason", e.reason);
  text("request_id", e.request_id);
  out += "}\n";
}

void append_combined(std::string& out, const AccessEntry& e) {
  out += e.address;
  out += " - - [" + time_text("%d/%b/%Y:%H:%M:%S +0000") + "] \"";
  append_escaped(out, e.method, false);
  out += ' ';
  append_escaped(out, e.target, false);
  out += e.http11 ? " HTTP/1.1\" " : " HTTP/1.0\" ";
  out += std::to_string(e.status) + ' ' + std::to_string(e.bytes_out) + " \"-\" \"-\"\n";
}

}  // namespace

Result<AccessLog> AccessLog::open(AccessLogFormat format, const std::string& file) {
  auto fd = open_for_append(file);
  if (!fd) return fd.error();
  return AccessLog(format, file, std::move(*fd));
}

void AccessLog::write(const AccessEntry& entry) {
  if (format_ == AccessLogFormat::json)
    append_json(pending_, entry);
  else
    append_combined(pending_, entry);
  if (pending_.size() >= kGather) flush();
}

void AccessLog::flush() {
  if (pending_.empty() || !fd_) return;
  // A full disk must not stop the traffic: what cannot be written is dropped.
  [[maybe_unused]] const auto written = ::write(fd_.get(), pending_.data(), pending_.size());
  pending_.clear();
}

void AccessLog::reopen() {
  flush();
  auto fd = open_for_append(file_);
  if (fd)
    fd_ = std::move(*fd);
  else
    log::error("access log not reopened", {{"error", fd.error().one_line()}});
}

}  // namespace flux::balancer
