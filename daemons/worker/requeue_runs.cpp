#include "daemons/worker/requeue_runs.hpp"

#include "common/workflow/trigger_event.hpp"
#include "daemons/worker/await_on.hpp"

namespace flux::worker {

QueuedRunSweeper::QueuedRunSweeper(EventLog& log, Ledger& ledger, StateStore& store, EventProducer& producer,
                                   boost::asio::io_context& loop, std::string owner, Duration grace,
                                   const Clock& clock)
    : ledger_(ledger),
      store_(store),
      producer_(producer),
      loop_(loop),
      owner_(std::move(owner)),
      grace_(grace),
      clock_(clock),
      watch_(log, ledger, "workflows", "workflow.trigger") {}

Result<std::int64_t> QueuedRunSweeper::round() {
  const auto lease =
      await_on(loop_, store_.acquire_lease("queued-run-sweeper", owner_, std::chrono::seconds{30}));
  if (!lease) return lease.error();
  if (!*lease) {
    watch_.clear();
    return 0;
  }
  const auto passed = watch_.passed();
  if (!passed) return passed.error();
  std::int64_t published = 0;
  if (*passed) {
    // Queued, created before the mark by more than the grace, and every trigger up to the mark was read.
    auto runs =
        ledger_.queued_runs_before(marked_at_ - std::chrono::duration_cast<WallTime::duration>(grace_), 100);
    if (!runs) return runs.error();
    for (const Run& run : *runs) {
      auto sent = await_on(loop_, producer_.append({"workflow.trigger", run.workflow_id.to_string(),
                                                    encode_trigger_event({run.id, run.workflow_id})}));
      if (!sent) return sent.error();
      ++published;
    }
  }
  if (*passed || !watch_.marked()) {
    marked_at_ = clock_.wall();
    if (auto marked = watch_.mark(); !marked) return marked.error();
  }
  return published;
}

}  // namespace flux::worker
