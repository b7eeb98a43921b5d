#pragma once
// Executes one workflow run from where the ledger says it is: every step's state
// is stored before and after each attempt, so a run can be watched while it runs
// and goes on at the step it was in when its worker died.

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "common/ports/event_log.hpp"
#include "common/ports/ledger.hpp"
#include "common/ports/state_store.hpp"
#include "common/workflow/trigger_event.hpp"
#include "daemons/runtime/blocking_pool.hpp"

namespace flux::worker {

// What all runs of one loop share.
struct RunEngines {
  Ledger& ledger;
  runtime::BlockingPool& pool;  // for ledger calls
  EventProducer& producer;
  StateStore& store;
};

struct RunTask {
  ConsumedRecord record;
  TriggerEvent trigger;
  PartitionClaim claim;
  std::shared_ptr<const std::atomic<bool>> abandoned;  // set when the partition or the worker goes
};

enum class RunEnd {
  succeeded,
  failed,     // a step used up its attempts; the trigger went to the dead letters
  abandoned,  // somebody else goes on with it
};

boost::asio::awaitable<RunEnd> execute_run(RunEngines engines, RunTask task);

}  // namespace flux::worker
