#pragma once
// The partitions this consumer may write for. The ledger's offset decides where
// to read on, and its epoch shuts out a former owner that still believes it is one.

#include <functional>
#include <map>

#include "common/ports/event_log.hpp"
#include "common/ports/ledger.hpp"

namespace flux::worker {

// Used by the thread that polls the consumer.
class PartitionClaims final : public RebalanceListener {
 public:
  PartitionClaims(Ledger& ledger, std::string group) : ledger_(ledger), group_(std::move(group)) {}

  // Called for partitions that go away, before their claims are forgotten.
  std::function<void(const std::vector<TopicPartition>&)> on_revoked{};

  Result<std::vector<std::optional<std::int64_t>>> assigned(
      const std::vector<TopicPartition>& partitions) override;
  void revoked(const std::vector<TopicPartition>& partitions, bool lost) override;

  // Null when this consumer does not own the partition (any more).
  PartitionClaim* find(const TopicPartition& source);
  std::vector<TopicPartition> owned() const;

 private:
  Ledger& ledger_;
  std::string group_;
  std::map<TopicPartition, PartitionClaim> claims_;
};

}  // namespace flux::worker
