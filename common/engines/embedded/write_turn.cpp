#include "common/engines/embedded/write_turn.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

namespace flux::embedded {

// Two locks make a turnstile: who comes back for another turn queues behind the
// one that stands in the gate already.
struct WriteTurns::Shared {
  pthread_mutex_t gate;
  pthread_mutex_t turn;
};

namespace {

Error file_error(const std::string& file, const char* doing, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return {full ? Errc::exhausted : Errc::unavailable, file + ": " + doing + ": " + std::strerror(code),
          full ? "free space on the disk of the data directory"
               : "check that the data directory exists and is writable",
          true};
}

void make_shared_mutex(pthread_mutex_t& mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

int lock_until(pthread_mutex_t& mutex, const timespec& deadline) {
  const int code = pthread_mutex_timedlock(&mutex, &deadline);
  // Its owner died. The lock guards no memory: SQLite rolls the file back by itself.
  if (code == EOWNERDEAD) return pthread_mutex_consistent(&mutex);
  return code;
}

}  // namespace

Result<std::unique_ptr<WriteTurns>> WriteTurns::open(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return file_error(file, "opening", errno);
  const auto fail = [&](const char* doing) {
    const int code = errno;
    ::close(descriptor);
    return file_error(file, doing, code);
  };
  // Whoever finds the file unused sets it up afresh, so that locks which were
  // held when the machine lost its power do not stay locked for ever.
  const bool first = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  if (!first && ::flock(descriptor, LOCK_SH) != 0) return fail("locking");
  // Waits for nothing but another process that is setting the file up right now.
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return fail("reading");
  if (static_cast<std::size_t>(status.st_size) < sizeof(Shared)) {
    const int code = ::posix_fallocate(descriptor, 0, sizeof(Shared));
    if (code != 0) {
      errno = code;
      return fail("allocating");
    }
  }
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) return fail("mapping");
  auto* shared = static_cast<Shared*>(memory);
  if (first) {
    make_shared_mutex(shared->gate);
    make_shared_mutex(shared->turn);
    if (::flock(descriptor, LOCK_SH) != 0) {
      ::munmap(memory, sizeof(Shared));
      return fail("locking");
    }
  }
  return std::unique_ptr<WriteTurns>{new WriteTurns{file, descriptor, shared}};
}

WriteTurns::WriteTurns(std::string file, int descriptor, Shared* shared)
    : file_(std::move(file)), descriptor_(descriptor), shared_(shared) {}

WriteTurns::~WriteTurns() {
  ::munmap(shared_, sizeof(Shared));
  ::close(descriptor_);
}

Result<WriteTurns::Turn> WriteTurns::take(Duration patience) {
  timespec deadline{};
  // Not the steady clock: ThreadSanitizer of g++ 12 does not see locks taken with
  // pthread_mutex_clocklock(). A jump of the clock moves this deadline only.
  ::clock_gettime(CLOCK_REALTIME, &deadline);
  const auto nanoseconds = deadline.tv_nsec + patience.count();
  deadline.tv_sec += nanoseconds / 1'000'000'000;
  deadline.tv_nsec = nanoseconds % 1'000'000'000;

  int code = lock_until(shared_->gate, deadline);
  if (code == 0) {
    code = lock_until(shared_->turn, deadline);
    pthread_mutex_unlock(&shared_->gate);
  }
  if (code == 0) return Turn{this};
  if (code == ETIMEDOUT)
    return Error{Errc::timed_out, file_ + ": another process kept the turn to write for too long",
                 "look for a stopped or hanging process that uses the data directory", true};
  return Error{Errc::internal, file_ + ": taking the turn to write: " + std::strerror(code)};
}

WriteTurns::Turn::~Turn() {
  if (turns_ != nullptr) pthread_mutex_unlock(&turns_->shared_->turn);
}

}  // namespace flux::embedded
