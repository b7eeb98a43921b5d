#include "cli/loadtest/timing_wheel.hpp"

#include <algorithm>
#include <bit>

namespace flux::loadtest {

void TimingWheel::set(std::uint32_t id, std::int64_t due_ns) {
  if (id >= nodes_.size()) nodes_.resize(std::max<std::size_t>(id + 1, nodes_.size() * 2));
  cancel(id);
  const std::int64_t rounded_up = (due_ns - origin_ + (1 << kTickBits) - 1) >> kTickBits;
  nodes_[id].tick = std::max(rounded_up, current_ + 1);
  insert(id);
}

void TimingWheel::insert(std::uint32_t id) {
  Node& node = nodes_[id];
  const std::int64_t distance = node.tick - current_;
  int level = 0;
  while (level < kLevels - 1 && distance >= (std::int64_t{1} << (kSlotBits * (level + 1)))) ++level;
  const auto slot = static_cast<std::uint32_t>(level * 256 + ((node.tick >> (kSlotBits * level)) & kMask));
  node.slot = slot;
  node.previous = kNone;
  node.next = heads_[slot];
  if (node.next != kNone) nodes_[node.next].previous = id;
  heads_[slot] = id;
  used_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void TimingWheel::cancel(std::uint32_t id) {
  if (!pending(id)) return;
  Node& node = nodes_[id];
  if (node.next != kNone) nodes_[node.next].previous = node.previous;
  if (node.previous != kNone)
    nodes_[node.previous].next = node.next;
  else
    heads_[node.slot] = node.next;
  if (heads_[node.slot] == kNone) used_[node.slot / 64] &= ~(std::uint64_t{1} << (node.slot % 64));
  node.slot = kNone;
}

int TimingWheel::next_used(int level, int from) const {
  for (int word = 0; word <= 4; ++word) {
    const int index = ((from >> 6) + word) & 3;
    std::uint64_t bits = used_[static_cast<std::size_t>(level * 4 + index)];
    const int shift = from & 63;
    if (word == 0) bits &= ~std::uint64_t{0} << shift;
    if (word == 4) bits &= shift == 0 ? 0 : ~std::uint64_t{0} >> (64 - shift);
    if (bits != 0) return index * 64 + std::countr_zero(bits);
  }
  return -1;
}

void TimingWheel::cascade(int level) {
  const auto slot = static_cast<std::size_t>(level * 256 + ((current_ >> (kSlotBits * level)) & kMask));
  std::uint32_t id = heads_[slot];
  heads_[slot] = kNone;
  used_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  while (id != kNone) {
    const std::uint32_t next = nodes_[id].next;
    insert(id);
    id = next;
  }
}

void TimingWheel::step_towards(std::int64_t target) {
  const std::int64_t window_end = current_ | kMask;
  const auto position = static_cast<int>(current_ & kMask);
  if (position < kMask) {
    const int slot = next_used(0, position + 1);
    if (slot > position) {  // in this window; a smaller slot belongs to the next one
      current_ = std::min(target, (current_ & ~kMask) + slot);
      return;
    }
  }
  if (window_end + 1 > target) {
    current_ = target;
    return;
  }
  current_ = window_end + 1;
  for (int level = 1; level < kLevels; ++level) {
    cascade(level);
    if (((current_ >> (kSlotBits * level)) & kMask) != 0) break;
  }
}

std::int64_t TimingWheel::next_due() const {
  std::int64_t earliest = kNever;
  for (int level = 0; level < kLevels; ++level) {
    const std::int64_t window = current_ >> (kSlotBits * level);
    const auto position = static_cast<int>(window & kMask);
    const int slot = next_used(level, static_cast<int>((position + 1) & kMask));
    if (slot < 0) continue;
    const std::int64_t ahead = ((slot - position - 1) & kMask) + 1;
    earliest = std::min(earliest, origin_ + (((window + ahead) << (kSlotBits * level)) << kTickBits));
  }
  return earliest;
}

}  // namespace flux::loadtest
