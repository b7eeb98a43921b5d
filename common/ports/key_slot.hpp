#pragma once
// Which hash slot of a Redis Cluster a key belongs to, as its specification has it.

#include <cstdint>
#include <string_view>

namespace flux {

inline constexpr std::uint16_t kHashSlots = 16384;

// The part of the key that is hashed: what stands between the first { and the following }
// when that is not empty, else the whole key.
std::string_view hash_tag(std::string_view key);

// CRC16 (XMODEM) of the hash tag, modulo kHashSlots.
std::uint16_t key_slot(std::string_view key);

}  // namespace flux
