#pragma once
// One member's side of a consumer group, kept in the catalog: joining,
// heartbeats, who reads which partition, and committed offsets.
//
// A member that did not synchronise within its session timeout is removed by
// the others and its partitions move on. It learns so at its next
// synchronise(), and must then treat everything it had as lost.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/engines/embedded/assign_partitions.hpp"
#include "common/engines/embedded/log_signals.hpp"
#include "common/engines/embedded/topic_catalog.hpp"
#include "common/ports/event_log.hpp"

namespace flux::embedded {

struct GroupChange {
  bool lost = false;                       // replaced: whatever this member had may belong to others
  std::vector<TopicPartition> to_release;  // to be handed over: pass them to the next synchronise()
  std::vector<TopicPartition> gained;      // this member's from now on
};

// Belongs to one thread.
class ConsumerGroupMember {
 public:
  static Result<std::unique_ptr<ConsumerGroupMember>> open(const std::string& log_directory,
                                                           std::shared_ptr<LogSignals> signals,
                                                           const ConsumerOptions& options,
                                                           const Clock& clock);

  // Something changed, or a heartbeat is due.
  bool is_due() const;
  // Joins when not a member, heartbeats, lets go of `released`, removes the
  // dead, assigns, takes what is free.
  Result<GroupChange> synchronise(const std::vector<TopicPartition>& released);
  // Puts partitions back that could not be started; synchronise() gains them again.
  Result<> give_back(const std::vector<TopicPartition>& partitions);
  // `fenced` when a partition is not this member's (any more); then none is committed.
  Result<> commit(const std::vector<std::pair<TopicPartition, std::int64_t>>& next_offsets);
  Result<std::optional<std::int64_t>> committed(const TopicPartition& source);
  // A static member keeps its place for its session timeout.
  Result<> leave(Duration timeout);

 private:
  ConsumerGroupMember(std::unique_ptr<SqliteDatabase> catalog, TurnLock turn,
                      std::shared_ptr<LogSignals> signals, const ConsumerOptions& options,
                      const Clock& clock);
  std::int64_t monotonic_ms() const;
  Result<bool> is_still_member();
  Result<> join();
  Result<bool> remove_expired();
  Result<> remove_member(const std::string& member_id);
  Result<bool> add_new_partitions();
  Result<> assign();
  Result<> let_go(const std::vector<TopicPartition>& partitions);
  Result<> take_assigned(GroupChange& change);
  Result<std::vector<GroupMember>> members();
  Result<> synchronise_in_transaction(const std::vector<TopicPartition>& released, GroupChange& change,
                                      bool& others_concerned);
  void tell_others();

  std::unique_ptr<SqliteDatabase> catalog_;
  TurnLock turn_;
  std::shared_ptr<LogSignals> signals_;
  const Clock& clock_;
  std::string group_;
  std::vector<std::string> topics_;
  std::string name_;
  bool is_static_;
  Duration session_timeout_;

  std::string member_id_;
  std::int64_t incarnation_ = 0;
  bool joined_ = false;
  bool due_ = true;
  std::uint32_t seen_changes_ = 0;
  SteadyTime last_heartbeat_{};
};

}  // namespace flux::embedded
