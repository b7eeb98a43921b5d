#include "daemons/worker/settle_orders.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "common/core/log.hpp"
#include "common/order/order_event.hpp"
#include "daemons/worker/await_on.hpp"
#include "daemons/worker/dead_letter.hpp"

namespace flux::worker {

OrderSettler::OrderSettler(EventLog& log, Ledger& ledger, StateStore& store, boost::asio::io_context& loop,
                           SettleOptions options, SettleCounters& counters)
    : log_(log),
      ledger_(ledger),
      store_(store),
      loop_(loop),
      options_(std::move(options)),
      counters_(counters),
      claims_(ledger, options_.group) {
  claims_.on_revoked = [this](const auto& partitions) { drop_records_of(partitions); };
}

Result<> OrderSettler::connect() {
  if (!producer_) {
    auto producer = log_.producer(loop_.get_executor());
    if (!producer) return producer.error();
    producer_ = std::move(*producer);
  }
  if (!consumer_) {
    auto consumer = log_.consumer({.group = options_.group,
                                   .topics = {options_.topic},
                                   .member_name = options_.member_name,
                                   .listener = &claims_});
    if (!consumer) return consumer.error();
    consumer_ = std::move(*consumer);
  }
  return {};
}

// The new owner reads them again from the ledger's offset.
void OrderSettler::drop_records_of(const std::vector<TopicPartition>& partitions) {
  const auto gone = [&](const TopicPartition& source) {
    return std::ranges::find(partitions, source) != partitions.end();
  };
  std::erase_if(batch_.records, [&](const ConsumedRecord& record) { return gone(record.source); });
  std::erase_if(unmirrored_, [&](const auto& entry) { return gone(entry.first); });
}

Result<> OrderSettler::run(std::stop_token stop) {
  std::minstd_rand random{std::random_device{}()};
  int failures = 0;
  const auto fail = [&](const Error& error) {
    counters_.ledger_failures.fetch_add(1, std::memory_order_relaxed);
    counters_.stalled = true;
    if (failures == 0 || failures % 20 == 0)
      log::warning("orders wait", {{"reason", error.one_line()}, {"failures", std::to_string(failures + 1)}});
    const auto until = std::chrono::steady_clock::now() + backoff_wait(options_.backoff, failures++, random);
    while (!stop.stop_requested() && std::chrono::steady_clock::now() < until) {
      // Membership is kept while we wait, or the group would rebalance for nothing.
      if (!consumer_ || !keep_membership()) std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
  };

  while (!stop.stop_requested()) {
    if (auto connected = connect(); !connected) {
      fail(connected.error());
      continue;
    }
    if (batch_.empty()) {
      if (paused_ && consumer_->resume(claims_.owned())) paused_ = false;
      auto records = consumer_->poll(options_.batch, options_.poll_wait);
      if (!records) {
        fail(records.error());
        continue;
      }
      batch_.records = std::move(*records);
      if (batch_.empty()) {
        mirror_offsets();
        counters_.stalled = false;
        failures = 0;
        continue;
      }
    }
    if (auto settled = settle(batch_); !settled) {
      if (settled.error().code == Errc::fenced) {
        // Somebody else owns these partitions now; what is in hand is theirs.
        log::warning("fenced by a newer owner", {{"reason", settled.error().message}});
        batch_.records.clear();
        if (auto closed = consumer_->close(std::chrono::seconds{5}); !closed)
          log::warning("could not leave the group", {{"reason", closed.error().one_line()}});
        consumer_.reset();
        continue;
      }
      fail(settled.error());
      continue;
    }
    batch_.records.clear();
    counters_.stalled = false;
    failures = 0;
  }
  mirror_offsets();
  return consumer_ ? consumer_->close(std::chrono::seconds{10}) : Result<>{};
}

Result<> OrderSettler::keep_membership() {
  if (!paused_) {
    if (auto paused = consumer_->pause(claims_.owned()); !paused) return paused;
    paused_ = true;
  }
  auto records = consumer_->poll(options_.batch, std::chrono::milliseconds{20});
  if (!records) return records.error();
  // Newly assigned partitions are not paused yet; what they deliver waits its turn.
  std::ranges::move(*records, std::back_inserter(batch_.records));
  if (!records->empty()) paused_ = false;
  return {};
}

Result<> OrderSettler::settle(Batch& batch) {
  std::map<TopicPartition, OffsetRange> ranges;
  std::vector<Order> orders;
  std::vector<const ConsumedRecord*> poison;
  orders.reserve(batch.records.size());
  for (const ConsumedRecord& record : batch.records) {
    const PartitionClaim* claim = claims_.find(record.source);
    if (claim == nullptr || record.offset < claim->next_offset) continue;  // settled before
    auto [range, is_new] = ranges.try_emplace(record.source, OffsetRange{claim, claim->next_offset, 0});
    range->second.to = record.offset + 1;
    if (auto order = decode_order_event(record.value))
      orders.push_back(std::move(*order));
    else
      poison.push_back(&record);
  }
  if (ranges.empty()) return {};
  // Dead letters first: the offset may pass a poison event only when the letter is durable.
  if (auto sent = send_dead_letters(poison); !sent) return sent;

  std::vector<OffsetRange> all;
  for (const auto& [source, range] : ranges) all.push_back(range);
  auto settled = ledger_.settle_orders(all, orders, system_clock().wall());
  if (!settled) return settled.error();

  for (const OffsetRange& range : all) {
    PartitionClaim* claim = claims_.find(range.claim->source);
    claim->next_offset = range.to;
    unmirrored_.emplace_back(claim->source, range.to);
  }
  counters_.batches.fetch_add(1, std::memory_order_relaxed);
  counters_.settled_at_ms = unix_ms(system_clock().wall());
  tell_state_store(*settled);
  mirror_offsets();
  return {};
}

Result<> OrderSettler::send_dead_letters(const std::vector<const ConsumedRecord*>& poison) {
  for (const ConsumedRecord* record : poison) {
    const auto decoded = decode_order_event(record->value);
    auto sent = await_on(
        loop_, producer_->append(make_dead_letter(*record, options_.group, decoded.error().message, 1)));
    if (!sent) return sent.error();
    counters_.dead_lettered.fetch_add(1, std::memory_order_relaxed);
    log::warning("poison event moved to the dead letters",
                 {{"topic", record->source.topic},
                  {"partition", std::to_string(record->source.partition)},
                  {"offset", std::to_string(record->offset)},
                  {"reason", decoded.error().message}});
  }
  return {};
}

void OrderSettler::tell_state_store(const std::vector<SettledOrder>& settled) {
  std::vector<Settlement> settlements;
  settlements.reserve(settled.size());
  std::uint64_t confirmed = 0;
  for (const SettledOrder& order : settled) {
    const bool is_confirmed = order.status == OrderStatus::confirmed;
    confirmed += is_confirmed ? 1 : 0;
    settlements.push_back({order.order_id, order.product_id, order.bucket,
                           is_confirmed ? SettleOutcome::confirmed : SettleOutcome::returned});
  }
  counters_.confirmed.fetch_add(confirmed, std::memory_order_relaxed);
  counters_.rejected.fetch_add(settled.size() - confirmed, std::memory_order_relaxed);
  if (settlements.empty()) return;
  // The ledger has decided. What the state store misses now, the reaper brings it later.
  if (auto told = await_on(loop_, store_.settle(std::move(settlements))); !told)
    log::warning("reservations wait for the reaper",
                 {{"reason", told.error().one_line()}, {"count", std::to_string(settled.size())}});
}

void OrderSettler::mirror_offsets() {
  if (unmirrored_.empty() || !consumer_) return;
  if (auto committed = consumer_->commit(unmirrored_); !committed)
    log::debug("offsets not mirrored", {{"reason", committed.error().one_line()}});
  else
    unmirrored_.clear();
}

}  // namespace flux::worker
