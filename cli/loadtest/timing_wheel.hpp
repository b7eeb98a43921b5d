#pragma once
// Timers of one thread: four levels of 256 slots, 16 µs a tick, at most one
// pending timer per id. Setting and cancelling take constant time; a timer
// never fires early and at most one tick late when advance() is called in time.

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

namespace flux::loadtest {

class TimingWheel {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  explicit TimingWheel(std::int64_t start_ns) : origin_(start_ns) {}

  // Replaces a timer of the same id. A time in the past fires at the next advance().
  void set(std::uint32_t id, std::int64_t due_ns);
  void cancel(std::uint32_t id);
  bool pending(std::uint32_t id) const { return id < nodes_.size() && nodes_[id].slot != kNone; }

  // Fires everything due by `now_ns`, in order of ticks; `fire(id)` may set and cancel timers.
  template <class Fire>
  void advance(std::int64_t now_ns, Fire&& fire) {
    const std::int64_t target = (now_ns - origin_) >> kTickBits;
    while (current_ < target) {
      step_towards(target);
      auto& head = heads_[static_cast<std::size_t>(current_ & kMask)];
      while (head != kNone) {
        const std::uint32_t id = head;
        cancel(id);
        fire(id);
      }
    }
  }

  // Nothing fires before this time; kNever when no timer is set.
  std::int64_t next_due() const;

 private:
  static constexpr int kTickBits = 14;
  static constexpr int kSlotBits = 8;
  static constexpr int kLevels = 4;
  static constexpr std::int64_t kMask = (1 << kSlotBits) - 1;
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  struct Node {
    std::uint32_t next = kNone;
    std::uint32_t previous = kNone;
    std::uint32_t slot = kNone;
    std::int64_t tick = 0;
  };

  void insert(std::uint32_t id);
  void step_towards(std::int64_t target);
  void cascade(int level);
  // The first used slot of a level at or after `from`, cyclic; -1 when the level is empty.
  int next_used(int level, int from) const;

  std::int64_t origin_;
  std::int64_t current_ = 0;
  std::vector<Node> nodes_;
  std::array<std::uint32_t, kLevels* 256> heads_ = [] {
    std::array<std::uint32_t, kLevels * 256> heads{};
    heads.fill(kNone);
    return heads;
  }();
  std::array<std::uint64_t, kLevels * 4> used_{};
};

}  // namespace flux::loadtest
