#pragma once
// The fence in front of every write that moves a partition's offset, kept in one
// place for every ledger.

#include <optional>
#include <string>
#include <vector>

#include "common/ports/ledger.hpp"

namespace flux {

// What the ledger holds for a partition.
struct PartitionOffset {
  std::int64_t epoch = 0;
  std::int64_t next_offset = 0;
};

enum class FenceVerdict {
  pass,      // the offsets are where the ranges begin: write
  repeated,  // the same ranges were written before by this claim: change nothing
};

inline Error fenced_error(const PartitionClaim& claim, const std::string& why) {
  return {Errc::fenced,
          "partition " + claim.source.topic + "/" + std::to_string(claim.source.partition) + " of group " +
              claim.group + " " + why,
          "drop the partition and claim it again"};
}

// A claim is good while nobody took the partition over after it.
inline Result<> check_claim(const PartitionClaim& claim, const std::optional<PartitionOffset>& present) {
  if (!present) return fenced_error(claim, "was never claimed in this ledger");
  if (present->epoch != claim.epoch)
    return fenced_error(claim, "was taken over (epoch " + std::to_string(present->epoch) + ", ours " +
                                   std::to_string(claim.epoch) + ")");
  return {};
}

// `present[i]` belongs to `ranges[i]`.
inline Result<FenceVerdict> check_fence(const std::vector<OffsetRange>& ranges,
                                        const std::vector<std::optional<PartitionOffset>>& present) {
  bool all_at_start = true, all_at_end = true;
  const OffsetRange* moved = nullptr;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const OffsetRange& range = ranges[i];
    if (auto held = check_claim(*range.claim, present[i]); !held) return held.error();
    const std::int64_t next = present[i]->next_offset;
    if (next != range.from) all_at_start = false;
    if (next != range.to) all_at_end = false;
    if (next != range.from && moved == nullptr) moved = &range;
  }
  if (all_at_start) return FenceVerdict::pass;
  if (all_at_end) return FenceVerdict::repeated;
  return fenced_error(*moved->claim,
                      "is not at offset " + std::to_string(moved->from) + " in the ledger: it has moved");
}

// Refuses what no caller may ask for, before anything is touched.
inline Result<> check_ranges(const std::vector<OffsetRange>& ranges) {
  if (ranges.empty()) return Error{Errc::invalid_argument, "no offset range: nothing fences this write"};
  for (const OffsetRange& range : ranges)
    if (range.claim == nullptr || range.from < 0 || range.to < range.from)
      return Error{Errc::invalid_argument, "an offset range needs a claim and 0 <= from <= to, not [" +
                                               std::to_string(range.from) + ", " + std::to_string(range.to) +
                                               ")"};
  return {};
}

}  // namespace flux
