#include "daemons/worker/reap_reservations.hpp"

#include <unordered_map>

#include "daemons/worker/await_on.hpp"

namespace flux::worker {
namespace {

constexpr const char* kLease = "reservation-reaper";

}  // namespace

ReservationReaper::ReservationReaper(EventLog& log, Ledger& ledger, StateStore& store,
                                     boost::asio::io_context& loop, std::string owner, ReapOptions options,
                                     const Clock& clock)
    : ledger_(ledger),
      store_(store),
      loop_(loop),
      owner_(std::move(owner)),
      options_(options),
      clock_(clock),
      watch_(log, ledger, "inventory", "orders") {}

Result<ReapCount> ReservationReaper::round() {
  auto lease = await_on(loop_, store_.acquire_lease(kLease, owner_, std::chrono::seconds{30}));
  if (!lease) return lease.error();
  if (!*lease) {
    suspects_.clear();
    watch_.clear();
    return ReapCount{};
  }
  auto stale = await_on(
      loop_,
      store_.stale_reservations(
          clock_.wall() - std::chrono::duration_cast<WallTime::duration>(options_.grace), options_.batch));
  if (!stale) return stale.error();
  if (stale->empty()) {
    suspects_.clear();
    watch_.clear();
    return ReapCount{};
  }

  const auto passed = watch_.passed();
  if (!passed) return passed.error();

  std::vector<Uuid> ids;
  for (const Reservation& reservation : *stale) ids.push_back(reservation.order_id);
  auto settled = ledger_.find_settled(ids);
  if (!settled) return settled.error();
  std::unordered_map<Uuid, OrderStatus> outcome;
  for (const SettledOrder& order : *settled) outcome[order.order_id] = order.status;

  ReapCount count;
  std::vector<Settlement> settlements;
  std::map<Uuid, Reservation> unknown;
  for (const Reservation& reservation : *stale) {
    Settlement settlement{reservation.order_id, reservation.product_id, reservation.bucket,
                          SettleOutcome::returned};
    if (const auto found = outcome.find(reservation.order_id); found != outcome.end()) {
      if (found->second == OrderStatus::confirmed) settlement.outcome = SettleOutcome::confirmed;
    } else if (const auto suspect = suspects_.find(reservation.order_id);
               !*passed || suspect == suspects_.end() ||
               suspect->second.reserved_at != reservation.reserved_at) {
      unknown.emplace(reservation.order_id, reservation);  // its event may still come
      continue;
    }
    (settlement.outcome == SettleOutcome::confirmed ? count.confirmed : count.returned) += 1;
    settlements.push_back(std::move(settlement));
  }
  if (!settlements.empty())
    if (auto done = await_on(loop_, store_.settle(std::move(settlements))); !done) return done.error();

  if (*passed || !watch_.marked()) {  // the next mark judges those that are unknown now
    suspects_ = std::move(unknown);
    watch_.clear();
    if (!suspects_.empty())
      if (auto marked = watch_.mark(); !marked) return marked.error();
  }
  return count;
}

}  // namespace flux::worker
