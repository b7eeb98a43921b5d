#pragma once
// Whose turn it is to write to a file that several processes share. Waiters
// sleep in the kernel and are handed the turn, instead of polling SQLite's lock:
// nobody writes twice in a row while somebody else waits. A turn whose process
// was killed passes on by itself.

#include <memory>
#include <string>
#include <utility>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"

namespace flux::embedded {

// Thread-safe: the threads of a process take turns like processes do.
class WriteTurns {
 public:
  // `file` is created when missing; it holds nothing worth keeping.
  static Result<std::unique_ptr<WriteTurns>> open(const std::string& file);
  ~WriteTurns();
  WriteTurns(const WriteTurns&) = delete;
  WriteTurns& operator=(const WriteTurns&) = delete;

  class Turn {
   public:
    explicit Turn(WriteTurns* turns) : turns_(turns) {}
    Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn();

   private:
    WriteTurns* turns_;
  };

  // Blocks up to `patience`, then `timed_out`.
  Result<Turn> take(Duration patience);

 private:
  struct Shared;
  WriteTurns(std::string file, int descriptor, Shared* shared);
  std::string file_;
  int descriptor_;
  Shared* shared_;
};

}  // namespace flux::embedded
