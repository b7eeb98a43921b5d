// Products and their reservations.
#include <algorithm>

#include "common/engines/embedded/state_tables.hpp"
#include "common/ports/rate_bucket.hpp"

namespace flux::embedded {
namespace {

Result<Uuid> read_uuid(std::string_view bytes, const std::string& file) {
  Uuid id;
  if (bytes.size() != id.bytes.size()) {
    return Error{Errc::corrupted, file + ": an order id of " + std::to_string(bytes.size()) + " bytes"};
  }
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

WallTime from_unix_us(std::int64_t us) {
  return WallTime{std::chrono::microseconds{us}};
}

ProductStock add_up(const std::string& product_id, std::int32_t count,
                    const std::vector<StockBucket>& buckets) {
  ProductStock sum{.product_id = product_id, .buckets = count};
  for (const StockBucket& bucket : buckets) {
    sum.available += bucket.available;
    sum.reserved += bucket.reserved;
    sum.confirmed += bucket.confirmed;
  }
  sum.stock = sum.available + sum.reserved + sum.confirmed;
  return sum;
}

}  // namespace

Result<std::optional<StateTables::ProductRow>> StateTables::find_product(const std::string& product_id) {
  auto product = database_->prepare("SELECT id, buckets FROM product WHERE product_id = ?");
  if (!product) return product.error();
  auto row = product->with(product_id).step();
  if (!row) return row.error();
  if (!*row) return std::optional<ProductRow>{};
  return std::optional{ProductRow{product->integer(0), static_cast<std::int32_t>(product->integer(1))}};
}

Result<std::vector<StockBucket>> StateTables::read_buckets(std::int64_t product) {
  auto rows = database_->prepare(
      "SELECT available, reserved, confirmed FROM bucket WHERE product = ? ORDER BY bucket");
  if (!rows) return rows.error();
  rows->with(product);
  std::vector<StockBucket> buckets;
  for (;;) {
    auto row = rows->step();
    if (!row) return row.error();
    if (!*row) return buckets;
    buckets.push_back({rows->integer(0), rows->integer(1), rows->integer(2)});
  }
}

Result<StateTables::ProductRow> StateTables::write_product(const std::string& product_id,
                                                           std::int32_t buckets) {
  auto written = database_->prepare(
      "INSERT INTO product (product_id, buckets) VALUES (?, ?)"
      " ON CONFLICT (product_id) DO UPDATE SET buckets = excluded.buckets RETURNING id");
  if (!written) return written.error();
  auto row = written->with(product_id, buckets).step();
  if (!row) return row.error();
  return ProductRow{written->integer(0), buckets};
}

Result<> StateTables::write_bucket(std::int64_t product, std::size_t bucket, const StockBucket& stock) {
  return database_->run("INSERT OR REPLACE INTO bucket VALUES (?, ?, ?, ?, ?)", product,
                        static_cast<std::int64_t>(bucket), stock.available, stock.reserved, stock.confirmed);
}

Result<ProductStock> StateTables::put_product(const std::string& product_id, std::int64_t stock,
                                              std::int32_t buckets) {
  auto known = find_product(product_id);
  if (!known) return known.error();
  std::vector<StockBucket> present;
  if (*known) {
    auto read = read_buckets((*known)->id);
    if (!read) return read.error();
    present = std::move(*read);
    ProductStock sum = add_up(product_id, buckets, present);
    if (sum.stock == stock && (*known)->buckets == buckets) return sum;
  }
  auto available = spread_stock(product_id, present, stock, buckets);
  if (!available) return available.error();
  auto product = write_product(product_id, buckets);
  if (!product) return product.error();
  present.resize(available->size());
  for (std::size_t i = 0; i < present.size(); ++i) {
    present[i].available = (*available)[i];
    if (auto written = write_bucket(product->id, i, present[i]); !written) return written.error();
  }
  return add_up(product_id, buckets, present);
}

Result<ProductStock> StateTables::get_product(const std::string& product_id) {
  // One statement, so that a reader beside the writer sees one moment.
  auto rows = database_->prepare(
      "SELECT p.buckets, sum(b.available), sum(b.reserved), sum(b.confirmed)"
      " FROM product p JOIN bucket b ON b.product = p.id WHERE p.product_id = ? GROUP BY p.id");
  if (!rows) return rows.error();
  auto row = rows->with(product_id).step();
  if (!row) return row.error();
  if (!*row) return unknown_product(product_id);
  return add_up(product_id, static_cast<std::int32_t>(rows->integer(0)),
                {{rows->integer(1), rows->integer(2), rows->integer(3)}});
}

Result<> StateTables::restore_product(const std::string& product_id, std::int64_t stock,
                                      std::int64_t confirmed, std::int32_t buckets) {
  std::vector<StockBucket> present(static_cast<std::size_t>(buckets));
  present[0].confirmed = confirmed;
  auto available = spread_stock(product_id, present, stock, buckets);
  if (!available) return available.error();
  auto product = write_product(product_id, buckets);
  if (!product) return product.error();
  if (auto gone = database_->run("DELETE FROM reservation WHERE product = ?", product->id); !gone)
    return gone;
  if (auto gone = database_->run("DELETE FROM bucket WHERE product = ?", product->id); !gone) return gone;
  for (std::size_t i = 0; i < present.size(); ++i) {
    present[i].available = (*available)[i];
    if (auto written = write_bucket(product->id, i, present[i]); !written) return written;
  }
  return {};
}

Result<Reservation> StateTables::reserve(const ReserveRequest& request) {
  auto known = find_product(request.product_id);
  if (!known) return known.error();
  if (!*known) return unknown_product(request.product_id);
  const ProductRow product = **known;
  Reservation reservation{request.order_id, request.product_id, 0,
                          product.buckets,  request.quantity,   from_unix_us(unix_us(request.now))};
  {
    auto existing = database_->prepare(
        "SELECT bucket, buckets, quantity, reserved_at FROM reservation WHERE order_id = ? AND product = ?");
    if (!existing) return existing.error();
    auto row = existing->with(as_blob(request.order_id), product.id).step();
    if (!row) return row.error();
    if (*row) {
      reservation.bucket = static_cast<std::int32_t>(existing->integer(0));
      reservation.buckets = static_cast<std::int32_t>(existing->integer(1));
      reservation.quantity = existing->integer(2);
      const std::int64_t reserved_at = std::max(existing->integer(3), unix_us(request.now));
      reservation.reserved_at = from_unix_us(reserved_at);
      auto refreshed =
          database_->run("UPDATE reservation SET reserved_at = ? WHERE order_id = ? AND product = ?",
                         reserved_at, as_blob(request.order_id), product.id);
      if (!refreshed) return refreshed.error();
      return reservation;
    }
  }
  auto take = database_->prepare(
      "UPDATE bucket SET available = available - ?1, reserved = reserved + ?1"
      " WHERE product = ?2 AND bucket = ?3 AND available >= ?1");
  if (!take) return take.error();
  const std::int32_t home = home_bucket(request.order_id, product.buckets);
  for (std::int32_t i = 0; i < product.buckets; ++i) {
    reservation.bucket = (home + i) % product.buckets;
    if (auto taken = take->with(request.quantity, product.id, reservation.bucket).run(); !taken) {
      return taken.error();
    }
    if (database_->changes() == 0) continue;
    auto kept = database_->run("INSERT INTO reservation VALUES (?, ?, ?, ?, ?, ?)", as_blob(request.order_id),
                               product.id, reservation.bucket, product.buckets, request.quantity,
                               unix_us(request.now));
    if (!kept) return kept.error();
    return reservation;
  }
  return sold_out(request.product_id, request.quantity);
}

Result<bool> StateTables::settle_one(const Settlement& settlement) {
  auto product = find_product(settlement.product_id);
  if (!product) return product.error();
  if (!*product) return false;
  std::int64_t quantity = 0;
  {
    auto ended = database_->prepare(
        "DELETE FROM reservation WHERE order_id = ? AND product = ? AND bucket = ? RETURNING quantity");
    if (!ended) return ended.error();
    auto row = ended->with(as_blob(settlement.order_id), (*product)->id, settlement.bucket).step();
    if (!row) return row.error();
    if (!*row) return false;
    quantity = ended->integer(0);
  }
  const bool confirmed = settlement.outcome == SettleOutcome::confirmed;
  auto moved =
      database_->run(confirmed ? "UPDATE bucket SET reserved = reserved - ?1, confirmed = confirmed + ?1"
                                 " WHERE product = ?2 AND bucket = ?3"
                               : "UPDATE bucket SET reserved = reserved - ?1, available = available + ?1"
                                 " WHERE product = ?2 AND bucket = ?3",
                     quantity, (*product)->id, settlement.bucket);
  if (!moved) return moved.error();
  return true;
}

Result<std::int64_t> StateTables::settle(const std::vector<Settlement>& settlements) {
  std::int64_t changed = 0;
  for (const Settlement& settlement : settlements) {
    auto done = settle_one(settlement);
    if (!done) return done.error();
    changed += *done ? 1 : 0;
  }
  return changed;
}

Result<std::vector<Reservation>> StateTables::stale_reservations(WallTime before, std::size_t max) {
  auto rows = database_->prepare(
      "SELECT r.order_id, p.product_id, r.bucket, r.buckets, r.quantity, r.reserved_at"
      " FROM reservation r JOIN product p ON p.id = r.product WHERE r.reserved_at < ?"
      " ORDER BY r.reserved_at, r.order_id LIMIT ?");
  if (!rows) return rows.error();
  rows->with(unix_us(before), static_cast<std::int64_t>(max));
  std::vector<Reservation> stale;
  for (;;) {
    auto row = rows->step();
    if (!row) return row.error();
    if (!*row) return stale;
    auto order_id = read_uuid(rows->view(0), database_->file());
    if (!order_id) return order_id.error();
    stale.push_back({*order_id, rows->text(1), static_cast<std::int32_t>(rows->integer(2)),
                     static_cast<std::int32_t>(rows->integer(3)), rows->integer(4),
                     from_unix_us(rows->integer(5))});
  }
}

}  // namespace flux::embedded
