#pragma once
// Which partition a key belongs to: the same on both engine sets, and the same
// as Kafka's own default partitioner, so that other producers agree.

#include <cstdint>
#include <string_view>

namespace flux {

// 32-bit MurmurHash2 with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2).
std::int32_t murmur2(std::string_view bytes);

// murmur2 without its sign bit, modulo the number of partitions (> 0).
std::int32_t partition_of_key(std::string_view key, std::int32_t partitions);

}  // namespace flux
