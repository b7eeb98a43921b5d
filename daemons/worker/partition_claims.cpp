#include "daemons/worker/partition_claims.hpp"

#include "common/core/log.hpp"

namespace flux::worker {

Result<std::vector<std::optional<std::int64_t>>> PartitionClaims::assigned(
    const std::vector<TopicPartition>& partitions) {
  std::vector<std::optional<std::int64_t>> starts;
  for (const TopicPartition& source : partitions) {
    auto claim = ledger_.claim_partition(group_, source);
    if (!claim) return claim.error();
    // A group that has never settled anything starts where the log starts.
    starts.push_back(claim->next_offset > 0 ? std::optional{claim->next_offset} : std::nullopt);
    log::debug("partition taken over", {{"topic", source.topic},
                                        {"partition", std::to_string(source.partition)},
                                        {"next_offset", std::to_string(claim->next_offset)},
                                        {"epoch", std::to_string(claim->epoch)}});
    claims_[source] = std::move(*claim);
  }
  return starts;
}

void PartitionClaims::revoked(const std::vector<TopicPartition>& partitions, bool lost) {
  if (lost) log::warning("partitions lost to another member", {{"count", std::to_string(partitions.size())}});
  if (on_revoked) on_revoked(partitions);
  for (const TopicPartition& source : partitions) claims_.erase(source);
}

PartitionClaim* PartitionClaims::find(const TopicPartition& source) {
  const auto found = claims_.find(source);
  return found == claims_.end() ? nullptr : &found->second;
}

std::vector<TopicPartition> PartitionClaims::owned() const {
  std::vector<TopicPartition> all;
  for (const auto& [source, claim] : claims_) all.push_back(source);
  return all;
}

}  // namespace flux::worker
