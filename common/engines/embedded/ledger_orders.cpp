#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "common/engines/embedded/embedded_engines.hpp"
#include "common/engines/embedded/embedded_ledger.hpp"
#include "common/order/settle_order.hpp"
#include "common/ports/ledger_errors.hpp"

namespace flux::embedded {
namespace {

LedgerProduct product_of(const SqliteStatement& row) {
  return {row.text(0), row.integer(1), row.integer(2), static_cast<std::int32_t>(row.integer(3))};
}

Result<std::optional<LedgerProduct>> find_product(SqliteDatabase& database, std::string_view product_id) {
  auto statement =
      database.prepare("SELECT product_id, stock, confirmed, buckets FROM products WHERE product_id = ?");
  if (!statement) return statement.error();
  auto row = statement->with(product_id).step();
  if (!row) return row.error();
  return *row ? std::optional{product_of(*statement)} : std::nullopt;
}

// What the ledger already says about orders; nullopt where it knows none.
class FirstOutcomes {
 public:
  static Result<FirstOutcomes> prepare(SqliteDatabase& database) {
    auto statement = database.prepare("SELECT product_id, bucket, status FROM orders WHERE order_id = ?");
    if (!statement) return statement.error();
    return FirstOutcomes{std::move(*statement)};
  }

  Result<std::optional<SettledOrder>> find(const Uuid& id) {
    auto row = statement_.with(blob(id)).step();
    if (!row) return row.error();
    if (!*row) return std::nullopt;
    return SettledOrder{id, statement_.text(0), static_cast<std::int32_t>(statement_.integer(1)),
                        static_cast<OrderStatus>(statement_.integer(2))};
  }

 private:
  explicit FirstOutcomes(SqliteStatement statement) : statement_(std::move(statement)) {}
  SqliteStatement statement_;
};

// The stock of the products of one batch, read once and written back once.
class BatchStock {
 public:
  explicit BatchStock(SqliteDatabase& database) : database_(database) {}

  Result<StockLine*> line(std::string_view product_id) {
    auto found = lines_.find(product_id);
    if (found == lines_.end()) {
      auto product = find_product(database_, product_id);
      if (!product) return product.error();
      Entry entry;
      if (*product) entry.line = StockLine{(*product)->stock, (*product)->confirmed};
      if (entry.line) entry.confirmed_before = entry.line->confirmed;
      found = lines_.emplace(product_id, entry).first;
    }
    return found->second.line ? &*found->second.line : nullptr;
  }

  Result<> write_back() {
    auto statement = database_.prepare("UPDATE products SET confirmed = ? WHERE product_id = ?");
    if (!statement) return statement.error();
    for (const auto& [product_id, entry] : lines_) {
      if (!entry.line || entry.line->confirmed == entry.confirmed_before) continue;
      if (auto done = statement->with(entry.line->confirmed, product_id).run(); !done) return done.error();
    }
    return {};
  }

 private:
  struct Entry {
    std::optional<StockLine> line;  // nullopt: the ledger does not know the product
    std::int64_t confirmed_before = 0;
  };
  SqliteDatabase& database_;
  std::unordered_map<std::string_view, Entry> lines_;  // keys live in the batch
};

Result<std::vector<SettledOrder>> repeat_outcomes(SqliteDatabase& database, const OffsetRange& range,
                                                  const std::vector<Order>& orders) {
  auto first = FirstOutcomes::prepare(database);
  if (!first) return first.error();
  std::vector<SettledOrder> outcomes;
  outcomes.reserve(orders.size());
  for (const Order& order : orders) {
    auto known = first->find(order.id);
    if (!known) return known.error();
    if (!*known) return fenced_error(*range.claim, "is past this batch, which holds an order that is new");
    outcomes.push_back(std::move(**known));
  }
  return outcomes;
}

Result<std::vector<SettledOrder>> write_orders(SqliteDatabase& database, const std::vector<Order>& orders,
                                               WallTime now) {
  auto first = FirstOutcomes::prepare(database);
  if (!first) return first.error();
  auto insert = database.prepare(
      "INSERT INTO orders (order_id, product_id, bucket, quantity, user_id, status, accepted_at, settled_at) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING");
  if (!insert) return insert.error();

  BatchStock stock{database};
  std::vector<SettledOrder> outcomes;
  outcomes.reserve(orders.size());
  for (const Order& order : orders) {
    auto line = stock.line(order.product_id);
    if (!line) return line.error();
    StockLine after = *line == nullptr ? StockLine{} : **line;
    const OrderStatus status = settle_order(*line == nullptr ? nullptr : &after, order.quantity);
    if (auto inserted = insert
                            ->with(blob(order.id), order.product_id, std::int64_t{order.bucket},
                                   order.quantity, order.user_id, static_cast<std::int64_t>(status),
                                   unix_us(order.accepted_at), unix_us(now))
                            .run();
        !inserted)
      return inserted.error();
    if (database.changes() == 1) {
      if (*line != nullptr) **line = after;
      outcomes.push_back({order.id, order.product_id, order.bucket, status});
      continue;
    }
    auto known = first->find(order.id);
    if (!known) return known.error();
    outcomes.push_back(std::move(**known));
  }
  if (auto written = stock.write_back(); !written) return written.error();
  return outcomes;
}

}  // namespace

Result<std::unique_ptr<Ledger>> open_ledger(const EmbeddedOptions& options) {
  auto file = LedgerFile::open(options.directory);
  if (!file) return file.error();
  return std::unique_ptr<Ledger>{std::make_unique<EmbeddedLedger>(std::move(*file))};
}

Uuid uuid_at(const SqliteStatement& row, int column) {
  Uuid id;
  const auto bytes = row.view(column);
  std::memcpy(id.bytes.data(), bytes.data(), std::min(bytes.size(), id.bytes.size()));
  return id;
}

Result<std::optional<PartitionOffset>> partition_offset(SqliteDatabase& database,
                                                        const PartitionClaim& claim) {
  auto statement = database.prepare(
      "SELECT epoch, next_offset FROM offsets WHERE consumer_group = ? AND topic = ? AND partition = ?");
  if (!statement) return statement.error();
  auto row = statement->with(claim.group, claim.source.topic, std::int64_t{claim.source.partition}).step();
  if (!row) return row.error();
  if (!*row) return std::nullopt;
  return PartitionOffset{statement->integer(0), statement->integer(1)};
}

Result<FenceVerdict> move_offsets(SqliteDatabase& database, const std::vector<OffsetRange>& ranges) {
  std::vector<std::optional<PartitionOffset>> present;
  for (const OffsetRange& range : ranges) {
    auto offset = partition_offset(database, *range.claim);
    if (!offset) return offset.error();
    present.push_back(*offset);
  }
  auto verdict = check_fence(ranges, present);
  if (!verdict || *verdict == FenceVerdict::repeated) return verdict;
  for (const OffsetRange& range : ranges) {
    const TopicPartition& source = range.claim->source;
    if (auto moved = database.run("UPDATE offsets SET next_offset = ? "
                                  "WHERE consumer_group = ? AND topic = ? AND partition = ?",
                                  range.to, range.claim->group, source.topic, std::int64_t{source.partition});
        !moved)
      return moved.error();
  }
  return verdict;
}

Result<> EmbeddedLedger::put_product(const LedgerProduct& product) {
  if (auto valid = check_product(product); !valid) return valid;
  return file_->write([&](SqliteDatabase& database) -> Result<> {
    auto present = find_product(database, product.product_id);
    if (!present) return present.error();
    if (*present && (*present)->confirmed > product.stock)
      return stock_below_confirmed(product.product_id, product.stock, (*present)->confirmed);
    return database.run(
        "INSERT INTO products (product_id, stock, buckets) VALUES (?, ?, ?) "
        "ON CONFLICT (product_id) DO UPDATE SET stock = excluded.stock, buckets = excluded.buckets",
        product.product_id, product.stock, std::int64_t{product.buckets});
  });
}

Result<LedgerProduct> EmbeddedLedger::get_product(const std::string& product_id) {
  return file_->read([&](SqliteDatabase& database) -> Result<LedgerProduct> {
    auto product = find_product(database, product_id);
    if (!product) return product.error();
    if (!*product) return unknown_product(product_id);
    return **product;
  });
}

Result<std::vector<LedgerProduct>> EmbeddedLedger::list_products() {
  return file_->read([&](SqliteDatabase& database) -> Result<std::vector<LedgerProduct>> {
    auto statement =
        database.prepare("SELECT product_id, stock, confirmed, buckets FROM products ORDER BY product_id");
    if (!statement) return statement.error();
    return collect(*statement, product_of);
  });
}

Result<PartitionClaim> EmbeddedLedger::claim_partition(const std::string& group,
                                                       const TopicPartition& source) {
  return file_->write([&](SqliteDatabase& database) -> Result<PartitionClaim> {
    if (auto done =
            database.run("INSERT INTO offsets (consumer_group, topic, partition, epoch, next_offset) VALUES "
                         "(?, ?, ?, 1, 0) "
                         "ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET epoch = epoch + 1",
                         group, source.topic, std::int64_t{source.partition});
        !done)
      return done.error();
    PartitionClaim claim{group, source, 0, 0};
    auto offset = partition_offset(database, claim);
    if (!offset) return offset.error();
    claim.epoch = (*offset)->epoch;
    claim.next_offset = (*offset)->next_offset;
    return claim;
  });
}

Result<std::vector<SettledOrder>> EmbeddedLedger::settle_orders(const std::vector<OffsetRange>& ranges,
                                                                const std::vector<Order>& orders,
                                                                WallTime now) {
  if (auto valid = check_ranges(ranges); !valid) return valid.error();
  return file_->write([&](SqliteDatabase& database) -> Result<std::vector<SettledOrder>> {
    auto verdict = move_offsets(database, ranges);
    if (!verdict) return verdict.error();
    return *verdict == FenceVerdict::repeated ? repeat_outcomes(database, ranges.front(), orders)
                                              : write_orders(database, orders, now);
  });
}

Result<> EmbeddedLedger::advance(const OffsetRange& range) {
  if (auto valid = check_ranges({range}); !valid) return valid.error();
  return file_->write([&](SqliteDatabase& database) -> Result<> {
    auto verdict = move_offsets(database, {range});
    if (!verdict) return verdict.error();
    return {};
  });
}

Result<std::optional<Order>> EmbeddedLedger::find_order(const Uuid& id) {
  return file_->read([&](SqliteDatabase& database) -> Result<std::optional<Order>> {
    auto statement = database.prepare(
        "SELECT product_id, bucket, quantity, user_id, status, accepted_at, settled_at FROM orders "
        "WHERE order_id = ?");
    if (!statement) return statement.error();
    auto row = statement->with(blob(id)).step();
    if (!row) return row.error();
    if (!*row) return std::nullopt;
    return Order{.id = id,
                 .product_id = statement->text(0),
                 .bucket = static_cast<std::int32_t>(statement->integer(1)),
                 .quantity = statement->integer(2),
                 .user_id = statement->text(3),
                 .status = static_cast<OrderStatus>(statement->integer(4)),
                 .accepted_at = from_unix_us(statement->integer(5)),
                 .settled_at = from_unix_us(statement->integer(6))};
  });
}

Result<std::vector<SettledOrder>> EmbeddedLedger::find_settled(const std::vector<Uuid>& ids) {
  return file_->read([&](SqliteDatabase& database) -> Result<std::vector<SettledOrder>> {
    auto first = FirstOutcomes::prepare(database);
    if (!first) return first.error();
    std::vector<SettledOrder> settled;
    for (const Uuid& id : ids) {
      auto known = first->find(id);
      if (!known) return known.error();
      if (*known) settled.push_back(std::move(**known));
    }
    return settled;
  });
}

Result<std::vector<std::int64_t>> EmbeddedLedger::next_offsets(const std::string& group,
                                                               const std::string& topic,
                                                               std::int32_t partitions) {
  return file_->read([&](SqliteDatabase& database) -> Result<std::vector<std::int64_t>> {
    std::vector<std::int64_t> offsets(static_cast<std::size_t>(std::max(partitions, 0)), 0);
    auto statement = database.prepare(
        "SELECT partition, next_offset FROM offsets WHERE consumer_group = ? AND topic = ? "
        "AND partition BETWEEN 0 AND ? - 1");
    if (!statement) return statement.error();
    auto rows =
        collect(statement->with(group, topic, std::int64_t{partitions}), [](const SqliteStatement& row) {
          return std::pair{row.integer(0), row.integer(1)};
        });
    if (!rows) return rows.error();
    for (const auto& [partition, next] : *rows) offsets[static_cast<std::size_t>(partition)] = next;
    return offsets;
  });
}

}  // namespace flux::embedded
