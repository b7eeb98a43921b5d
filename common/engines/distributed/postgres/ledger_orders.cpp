#include "common/engines/distributed/postgres/postgres_ledger.hpp"
#include "common/engines/distributed/postgres/settle_batch.hpp"
#include "common/ports/ledger_errors.hpp"

namespace flux::postgres {
namespace {

LedgerProduct product_of(const Rows& rows, int i) {
  return {rows.text(i, 0), rows.integer(i, 1), rows.integer(i, 2),
          static_cast<std::int32_t>(rows.integer(i, 3))};
}

Statement select_product(const std::string& product_id) {
  return {"SELECT product_id, stock, confirmed, buckets FROM flux.products WHERE product_id = $1",
          Parameters{}.text(product_id)};
}

}  // namespace

Result<> PostgresLedger::put_product(const LedgerProduct& product) {
  if (auto valid = check_product(product); !valid) return valid;
  auto results =
      run({{"INSERT INTO flux.products AS p (product_id, stock, buckets) VALUES ($1, $2, $3) "
            "ON CONFLICT (product_id) DO UPDATE SET stock = excluded.stock, buckets = excluded.buckets "
            "WHERE p.confirmed <= excluded.stock RETURNING 1",
            Parameters{}.text(product.product_id).integer(product.stock).int32(product.buckets)},
           select_product(product.product_id)});
  if (!results) return results.error();
  if ((*results)[0].count() == 1) return {};
  return stock_below_confirmed(product.product_id, product.stock, product_of((*results)[1], 0).confirmed);
}

Result<LedgerProduct> PostgresLedger::get_product(const std::string& product_id) {
  auto rows = run(select_product(product_id));
  if (!rows) return rows.error();
  if (rows->count() == 0) return unknown_product(product_id);
  return product_of(*rows, 0);
}

Result<std::vector<LedgerProduct>> PostgresLedger::list_products() {
  auto rows = run({"SELECT product_id, stock, confirmed, buckets FROM flux.products ORDER BY product_id"});
  if (!rows) return rows.error();
  return collect(*rows, product_of);
}

Result<PartitionClaim> PostgresLedger::claim_partition(const std::string& group,
                                                       const TopicPartition& source) {
  auto rows =
      run({"INSERT INTO flux.offsets AS o (consumer_group, topic, partition, epoch, next_offset) "
           "VALUES ($1, $2, $3, 1, 0) ON CONFLICT (consumer_group, topic, partition) "
           "DO UPDATE SET epoch = o.epoch + 1 RETURNING epoch, next_offset",
           Parameters{}.text(group).text(source.topic).int32(source.partition)});
  if (!rows) return rows.error();
  return PartitionClaim{group, source, rows->integer(0, 0), rows->integer(0, 1)};
}

Result<std::vector<SettledOrder>> PostgresLedger::settle_orders(const std::vector<OffsetRange>& ranges,
                                                                const std::vector<Order>& orders,
                                                                WallTime now) {
  if (auto valid = check_ranges(ranges); !valid) return valid.error();
  const SteadyTime by = deadline();
  auto connection = primary_.borrow(by);
  if (!connection) return connection.error();
  return settle_batch(**connection, {ranges, orders, now}, by);
}

Result<> PostgresLedger::advance(const OffsetRange& range) {
  if (auto valid = check_ranges({range}); !valid) return valid;
  const PartitionClaim& claim = *range.claim;
  auto results =
      run({{"UPDATE flux.offsets SET next_offset = $6 WHERE consumer_group = $1 AND topic = $2 AND "
            "partition = $3 AND epoch = $4 AND next_offset = $5 RETURNING 1",
            Parameters{}
                .text(claim.group)
                .text(claim.source.topic)
                .int32(claim.source.partition)
                .integer(claim.epoch)
                .integer(range.from)
                .integer(range.to)},
           select_offset(claim)});
  if (!results) return results.error();
  if ((*results)[0].count() == 1) return {};
  return explain_fence(range, (*results)[1]);
}

Result<std::optional<Order>> PostgresLedger::find_order(const Uuid& id) {
  const Statement statement{
      "SELECT product_id, bucket, quantity, user_id, status, accepted_at, settled_at FROM flux.orders "
      "WHERE order_id = $1",
      Parameters{}.uuid(id)};
  // A settled order never changes, so what a replica has is right; what it lacks
  // may not have reached it yet.
  auto found = run_on_replica(statement);
  if (!found || found->count() == 0) {
    auto rows = run(statement);
    if (!rows) return rows.error();
    found = std::move(*rows);
  }
  if (found->count() == 0) return std::nullopt;
  return Order{.id = id,
               .product_id = found->text(0, 0),
               .bucket = static_cast<std::int32_t>(found->integer(0, 1)),
               .quantity = found->integer(0, 2),
               .user_id = found->text(0, 3),
               .status = static_cast<OrderStatus>(found->integer(0, 4)),
               .accepted_at = found->time(0, 5),
               .settled_at = found->time(0, 6)};
}

Result<std::vector<SettledOrder>> PostgresLedger::find_settled(const std::vector<Uuid>& ids) {
  auto rows = run({"SELECT order_id, product_id, bucket, status FROM flux.orders WHERE order_id = ANY($1)",
                   Parameters{}.uuids(ids)});
  if (!rows) return rows.error();
  return collect(*rows, [](const Rows& r, int i) {
    return SettledOrder{r.uuid(i, 0), r.text(i, 1), static_cast<std::int32_t>(r.integer(i, 2)),
                        static_cast<OrderStatus>(r.integer(i, 3))};
  });
}

Result<std::vector<std::int64_t>> PostgresLedger::next_offsets(const std::string& group,
                                                               const std::string& topic,
                                                               std::int32_t partitions) {
  auto rows =
      run({"SELECT partition, next_offset FROM flux.offsets WHERE consumer_group = $1 AND topic = $2 "
           "AND partition BETWEEN 0 AND $3 - 1",
           Parameters{}.text(group).text(topic).int32(partitions)});
  if (!rows) return rows.error();
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(std::max(partitions, 0)), 0);
  for (int i = 0; i < rows->count(); ++i)
    offsets[static_cast<std::size_t>(rows->integer(i, 0))] = rows->integer(i, 1);
  return offsets;
}

}  // namespace flux::postgres
