#pragma once
// Deadlines of thousands of connections at the price of a store: moving a
// deadline later only writes it down, and the wheel looks again when the old
// one is due. Resolution 16 ms; never early.

#include <array>
#include <cstdint>

namespace flux::balancer {

class TimerWheel;

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer() { unlink(); }

  // Calls on_deadline() once, at `at_ms` or a little later.
  void set_deadline(TimerWheel& wheel, std::int64_t at_ms);
  void clear_deadline() { deadline_ = 0; }  // stays linked; ignored when due
  bool has_deadline() const { return deadline_ != 0; }

 protected:
  virtual void on_deadline() = 0;

 private:
  friend class TimerWheel;
  void unlink() {
    if (next_ == nullptr) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

  Timer* next_ = nullptr;
  Timer* previous_ = nullptr;
  std::int64_t deadline_ = 0;
  std::int64_t due_ = 0;  // when the slot it is linked in comes up
};

class TimerWheel {
 public:
  TimerWheel();
  void start(std::int64_t now_ms) { tick_ = now_ms / kTickMs; }
  void expire(std::int64_t now_ms);
  // How long the loop may sleep.
  int wait_ms(std::int64_t now_ms) const;

 private:
  friend class Timer;
  static constexpr std::int64_t kTickMs = 16;
  static constexpr std::int64_t kSlots = 2048;  // 32 s; farther ones go round

  // The head of a slot's ring.
  struct Slot final : Timer {
    Slot() { reset(); }
    void reset();
    bool empty() const;
    void on_deadline() override {}
  };
  void link(Timer& timer);

  std::array<Slot, kSlots> slots_;
  std::int64_t tick_ = 0;  // the next tick to expire
};

}  // namespace flux::balancer
