#include "common/core/ids.hpp"

#include <pthread.h>

#include <atomic>
#include <cstring>
#include <random>

namespace flux {
namespace {

constexpr char kHex[] = "0123456789abcdef";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_dash_position(std::size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

// A forked child inherits the generators; it must not repeat their ids.
std::atomic<std::uint64_t> g_forks{0};
[[maybe_unused]] const int g_fork_watch = pthread_atfork(nullptr, nullptr, [] { ++g_forks; });

// RFC 9562 section 6.2, method 2: within one millisecond the 74 random bits
// are a counter that starts at a random value and grows by a random step.
struct Generator {
  std::mt19937_64 random{seeded()};
  std::uint64_t forks = g_forks;
  std::int64_t last_ms = -1;
  std::uint64_t high = 0;  // 12 bits
  std::uint64_t low = 0;   // 62 bits

  static std::mt19937_64 seeded() {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device()};
    return std::mt19937_64{seed};
  }

  Uuid next(std::int64_t now_ms) {
    if (const auto now = g_forks.load(std::memory_order_relaxed); now != forks) {
      forks = now;
      random = seeded();
      high = random() & 0x7ff;
      low = random() & ((1ULL << 62) - 1);
    }
    constexpr std::uint64_t kLowMask = (1ULL << 62) - 1;
    if (now_ms > last_ms) {
      last_ms = now_ms;
      high = random() & 0x7ff;  // the top bit is left free so that the counter has room
      low = random() & kLowMask;
    } else {
      low += 1 + (random() & 0xffffffff);
      if (low > kLowMask) {
        low &= kLowMask;
        if (++high > 0xfff) {
          high = 0;
          ++last_ms;
        }
      }
    }
    Uuid id;
    for (int i = 0; i < 6; ++i) id.bytes[i] = static_cast<std::uint8_t>(last_ms >> (40 - 8 * i));
    id.bytes[6] = static_cast<std::uint8_t>(0x70 | (high >> 8));
    id.bytes[7] = static_cast<std::uint8_t>(high);
    const std::uint64_t tail = low | (2ULL << 62);
    for (int i = 0; i < 8; ++i) id.bytes[8 + i] = static_cast<std::uint8_t>(tail >> (56 - 8 * i));
    return id;
  }
};

}  // namespace

std::string Uuid::to_string() const {
  std::string text(36, '-');
  std::size_t at = 0;
  for (std::uint8_t byte : bytes) {
    if (is_dash_position(at)) ++at;
    text[at++] = kHex[byte >> 4];
    text[at++] = kHex[byte & 0xf];
  }
  return text;
}

Result<Uuid> Uuid::parse(std::string_view text) {
  const auto bad = [] { return Error{Errc::invalid_argument, "not a UUID"}; };
  if (text.size() != 36) return bad();
  Uuid id;
  std::size_t nibble = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_dash_position(i)) {
      if (text[i] != '-') return bad();
      continue;
    }
    const int digit = hex_digit(text[i]);
    if (digit < 0) return bad();
    id.bytes[nibble / 2] = static_cast<std::uint8_t>(id.bytes[nibble / 2] << 4 | digit);
    ++nibble;
  }
  return id;
}

std::int64_t Uuid::unix_ms() const {
  std::int64_t ms = 0;
  for (int i = 0; i < 6; ++i) ms = ms << 8 | bytes[i];
  return ms;
}

Uuid new_uuid(const Clock& clock) {
  thread_local Generator generator;
  return generator.next(flux::unix_ms(clock.wall()));
}

}  // namespace flux

std::size_t std::hash<flux::Uuid>::operator()(const flux::Uuid& id) const noexcept {
  std::uint64_t low = 0;  // the random half
  std::memcpy(&low, id.bytes.data() + 8, sizeof low);
  return low;
}
