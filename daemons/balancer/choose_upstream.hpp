#pragma once
// Which of a pool's upstreams serves the next request. Pure: what is known about
// each upstream comes in, an index goes out.

#include <cstdint>
#include <span>
#include <string_view>

#include "common/core/result.hpp"

namespace flux::balancer {

enum class Algorithm : std::uint8_t { round_robin, least_conn, p2c, peak_ewma, hash };

Result<Algorithm> parse_algorithm(std::string_view name);
std::string_view to_string(Algorithm algorithm);

struct Candidate {
  double weight = 1;           // with slow start applied; 0: gets nothing
  std::int32_t active = 0;     // requests under way, by all threads
  double ewma_ns = 0;          // peak EWMA of answer times
  std::uint64_t identity = 0;  // hash of the upstream's name, for `hash`
  double* turn = nullptr;      // smooth weighted round robin's memory
};

// xorshift: enough for spreading load, and cheap.
class QuickRandom {
 public:
  explicit QuickRandom(std::uint64_t seed) : state_(seed | 1) {}
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1dULL;
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

constexpr std::size_t kNobody = static_cast<std::size_t>(-1);

std::size_t choose_upstream(Algorithm algorithm, std::span<const Candidate> candidates, std::uint64_t key,
                            QuickRandom& random);

std::uint64_t hash_bytes(std::string_view bytes);

}  // namespace flux::balancer
