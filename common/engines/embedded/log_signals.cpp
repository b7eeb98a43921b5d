#include "common/engines/embedded/log_signals.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <utility>

namespace flux::embedded {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBytes = 64 << 10;
static_assert(16 + 4 * (LogSignals::kMaxTopics + 1) <= kBytes / sizeof(std::uint32_t));

// A waiter looks again this often even when nobody woke it.
constexpr Duration kLockLook = 5ms;

Error system_error(const std::string& file, const char* doing) {
  const int why = errno;
  return {why == ENOSPC || why == EDQUOT || why == EMFILE ? Errc::exhausted : Errc::unavailable,
          file + ": " + doing + ": " + std::strerror(why),
          "check that the data directory is writable and has space", true};
}

}  // namespace

Result<std::shared_ptr<LogSignals>> LogSignals::open(const std::string& directory) {
  const std::string file = directory + "/signals";
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(file, "opening");
  // Allocated, not only sized: writing to a hole of a mapping on a full disk is a SIGBUS.
  if (const int failed = ::posix_fallocate(fd, 0, kBytes); failed != 0) {
    errno = failed;
    const Error error = system_error(file, "allocating");
    ::close(fd);
    return error;
  }
  void* mapped = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const Error failed = system_error(file, "mapping");
  ::close(fd);
  if (mapped == MAP_FAILED) return failed;
  return std::shared_ptr<LogSignals>{new LogSignals{file, static_cast<std::uint32_t*>(mapped)}};
}

LogSignals::~LogSignals() {
  ::munmap(words_, kBytes);
}

std::uint32_t LogSignals::read(std::size_t word) const {
  return std::atomic_ref<std::uint32_t>{words_[word]}.load(std::memory_order_acquire);
}

void LogSignals::raise(std::size_t word) {
  std::atomic_ref<std::uint32_t>{words_[word]}.fetch_add(1, std::memory_order_acq_rel);
  ::syscall(SYS_futex, &words_[word], FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void LogSignals::wait(std::size_t word, std::uint32_t seen, Duration longest) const {
  if (longest <= Duration::zero()) return;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
  const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (longest - seconds).count()};
  ::syscall(SYS_futex, &words_[word], FUTEX_WAIT, seen, &timeout, nullptr, 0);
}

// --- lock --------------------------------------------------------------------

TurnLock::TurnLock(std::shared_ptr<LogSignals> signals, std::size_t word, int file)
    : signals_(std::move(signals)), word_(word), file_(file) {}

TurnLock::TurnLock(TurnLock&& other) noexcept
    : signals_(std::move(other.signals_)), word_(other.word_), file_(std::exchange(other.file_, -1)) {}

TurnLock::~TurnLock() {
  if (file_ >= 0) ::close(file_);  // lets go of what it holds
}

Result<TurnLock> TurnLock::open(std::shared_ptr<LogSignals> signals, std::size_t word) {
  // Locks belong to the open file description, so every TurnLock opens its own.
  const int fd = ::open(signals->file().c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return system_error(signals->file(), "opening");
  return TurnLock{std::move(signals), word, fd};
}

bool TurnLock::lock_byte(std::size_t word, SteadyTime deadline) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(word);
  range.l_len = 1;
  for (;;) {
    const std::uint32_t seen = signals_->read(word);
    if (::fcntl(file_, F_OFD_SETLK, &range) == 0) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) return false;
    signals_->wait(word, seen, std::min<Duration>(deadline - now, kLockLook));
  }
}

void TurnLock::unlock_byte(std::size_t word) {
  struct flock range {};
  range.l_type = F_UNLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(word);
  range.l_len = 1;
  ::fcntl(file_, F_OFD_SETLK, &range);
  signals_->raise(word);
}

bool TurnLock::acquire(SteadyTime deadline) {
  const std::size_t turnstile = word_ + 1;
  if (!lock_byte(turnstile, deadline)) return false;
  const bool locked = lock_byte(word_, deadline);
  unlock_byte(turnstile);
  return locked;
}

void TurnLock::release() {
  unlock_byte(word_);
}

}  // namespace flux::embedded
