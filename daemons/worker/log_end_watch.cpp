#include "daemons/worker/log_end_watch.hpp"

namespace flux::worker {

Result<> LogEndWatch::mark() {
  auto ends = log_.end_offsets(topic_);
  if (!ends) return ends.error();
  ends_ = std::move(*ends);
  return {};
}

Result<bool> LogEndWatch::passed() {
  if (!ends_) return false;
  auto next = ledger_.next_offsets(group_, topic_, static_cast<std::int32_t>(ends_->size()));
  if (!next) return next.error();
  for (std::size_t i = 0; i < ends_->size(); ++i)
    if ((*next)[i] < (*ends_)[i]) return false;
  return true;
}

}  // namespace flux::worker
