#pragma once
// The reaper: ends reservations whose order nobody settled in time. The ledger
// is asked first; stock is returned only when the group has passed the end that
// the log had after the reservation became stale, so no event can still come.

#include <boost/asio/io_context.hpp>
#include <map>

#include "common/ports/ledger.hpp"
#include "common/ports/state_store.hpp"
#include "daemons/worker/log_end_watch.hpp"

namespace flux::worker {

struct ReapOptions {
  // Longer than an API may take from reserving to the log's acknowledgement.
  Duration grace = std::chrono::seconds{30};
  std::size_t batch = 1000;
};

struct ReapCount {
  std::int64_t confirmed = 0;  // the ledger had confirmed them; the state store had not heard
  std::int64_t returned = 0;   // rejected, or never persisted
};

// Call round() every few seconds from one thread; it holds a lease meanwhile, so
// that of several workers one reaps.
class ReservationReaper {
 public:
  ReservationReaper(EventLog& log, Ledger& ledger, StateStore& store, boost::asio::io_context& loop,
                    std::string owner, ReapOptions options = {}, const Clock& clock = system_clock());
  Result<ReapCount> round();

 private:
  Ledger& ledger_;
  StateStore& store_;
  boost::asio::io_context& loop_;
  std::string owner_;
  ReapOptions options_;
  const Clock& clock_;
  LogEndWatch watch_;
  std::map<Uuid, Reservation> suspects_;  // stale before the mark was taken, unknown to the ledger then
};

}  // namespace flux::worker
