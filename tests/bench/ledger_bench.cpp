// Settling batches of orders against hand-written peers that write the same rows
// and move an offset, in the same run, round by round in turns:
//   PostgreSQL: INSERT … SELECT unnest … ON CONFLICT, and a raw binary COPY
//   embedded:   a bare SQLite insert loop
// Every commit is durable on all sides. Prints orders/s (medians) and ratios.
//
//   bench_ledger [rounds]      PostgreSQL from FLUX_POSTGRES_URL, left out when unset

#include <libpq-fe.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/engines/distributed/postgres/postgres_engine.hpp"
#include "common/engines/distributed/postgres/wire_format.hpp"
#include "common/engines/embedded/embedded_engines.hpp"
#include "tests/fakes/scratch_directory.hpp"

namespace flux {
namespace {

using Steady = std::chrono::steady_clock;

void must(bool good, const std::string& what) {
  if (good) return;
  std::fprintf(stderr, "bench_ledger: %s\n", what.c_str());
  std::exit(1);
}

std::vector<Order> make_orders(std::size_t count) {
  std::vector<Order> orders;
  const WallTime now = system_clock().wall();
  for (std::size_t i = 0; i < count; ++i)
    orders.push_back({.id = new_uuid(),
                      .product_id = "product-" + std::to_string(i % 100),
                      .bucket = static_cast<std::int32_t>(i % 4),
                      .quantity = 1 + static_cast<std::int64_t>(i % 3),
                      .user_id = "user-" + std::to_string(i),
                      .accepted_at = now});
  return orders;
}

struct Contender {
  std::string name;
  std::function<void(const std::vector<Order>&)> settle;
  std::vector<double> rates{};
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Ratios are taken per round, so that a busy moment of the machine hits both sides.
void compare(std::vector<Contender> contenders, std::size_t batch, int rounds) {
  for (int round = -2; round < rounds; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      Contender& contender = contenders[(i + static_cast<std::size_t>(round + 2)) % contenders.size()];
      const auto orders = make_orders(batch);
      const auto start = Steady::now();
      contender.settle(orders);
      const double seconds = std::chrono::duration<double>(Steady::now() - start).count();
      if (round >= 0) contender.rates.push_back(static_cast<double>(batch) / seconds);
    }
  }
  for (const Contender& contender : contenders) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < contender.rates.size(); ++i)
      ratios.push_back(contenders[0].rates[i] / contender.rates[i]);
    std::printf("  batch %5zu  %-34s %9.0f orders/s", batch, contender.name.c_str(), median(contender.rates));
    if (&contender != &contenders[0]) std::printf("   flux/this %.2fx", median(ratios));
    std::printf("\n");
  }
}

// A Ledger that reads on in one partition.
class FluxSide {
 public:
  explicit FluxSide(Result<std::unique_ptr<Ledger>> opened) {
    must(opened.has_value(), opened ? "" : opened.error().one_line());
    ledger_ = std::move(*opened);
    for (int i = 0; i < 100; ++i)
      must(ledger_->put_product({.product_id = "product-" + std::to_string(i), .stock = kMaxStock})
               .has_value(),
           "put_product");
    claim_ = ledger_->claim_partition("inventory", {"orders", 0}).value();
    next_ = claim_.next_offset;
  }

  void settle(const std::vector<Order>& orders) {
    const auto to = next_ + static_cast<std::int64_t>(orders.size());
    const auto settled = ledger_->settle_orders({{&claim_, next_, to}}, orders, system_clock().wall());
    must(settled.has_value(), settled ? "" : settled.error().one_line());
    next_ = to;
  }

 private:
  std::unique_ptr<Ledger> ledger_;
  PartitionClaim claim_;
  std::int64_t next_ = 0;
};

// --- PostgreSQL by hand ---------------------------------------------------------

constexpr const char* kColumns =
    "(order_id uuid PRIMARY KEY, product_id text NOT NULL, bucket integer NOT NULL, quantity bigint NOT "
    "NULL, "
    "user_id text NOT NULL, status smallint NOT NULL, accepted_at timestamptz NOT NULL, "
    "settled_at timestamptz NOT NULL)";

class RawPostgres {
 public:
  explicit RawPostgres(const std::string& url) : handle_(PQconnectdb(url.c_str()), &PQfinish) {
    must(PQstatus(handle_.get()) == CONNECTION_OK, PQerrorMessage(handle_.get()));
  }

  void exec(const std::string& sql, ExecStatusType expected = PGRES_COMMAND_OK) {
    PGresult* result = PQexec(handle_.get(), sql.c_str());
    must(PQresultStatus(result) == expected, sql + ": " + PQerrorMessage(handle_.get()));
    PQclear(result);
  }

  void copy(const std::vector<Order>& orders) {
    postgres::CopyStream stream{8};
    const WallTime now = system_clock().wall();
    for (const Order& order : orders) {
      stream.begin_row();
      stream.uuid(order.id);
      stream.text(order.product_id);
      stream.int32(order.bucket);
      stream.integer(order.quantity);
      stream.text(order.user_id);
      stream.int16(1);
      stream.time(order.accepted_at);
      stream.time(now);
    }
    exec("BEGIN");
    exec("COPY peer.copied FROM STDIN (FORMAT binary)", PGRES_COPY_IN);
    const std::string& bytes = stream.finish();
    must(PQputCopyData(handle_.get(), bytes.data(), static_cast<int>(bytes.size())) == 1 &&
             PQputCopyEnd(handle_.get(), nullptr) == 1,
         "copy data");
    PGresult* result = PQgetResult(handle_.get());
    must(PQresultStatus(result) == PGRES_COMMAND_OK, PQerrorMessage(handle_.get()));
    PQclear(result);
    PQclear(PQgetResult(handle_.get()));
    exec("UPDATE peer.offsets SET next_offset = next_offset + " + std::to_string(orders.size()) +
         " WHERE partition = 0");
    exec("COMMIT");
  }

  void unnest(const std::vector<Order>& orders) {
    // Binary arrays, as libpq users write them for speed.
    const auto array = [&](int oid, const std::function<void(std::string&, const Order&)>& element) {
      std::string bytes;
      for (const std::int32_t header : {1, 0, oid, static_cast<std::int32_t>(orders.size()), 1})
        postgres::append_int32(bytes, header);
      for (const Order& order : orders) element(bytes, order);
      return bytes;
    };
    const auto text = [](std::string& out, std::string_view value) {
      postgres::append_int32(out, static_cast<std::int32_t>(value.size()));
      out += value;
    };
    const auto integer = [](std::string& out, std::int64_t value) {
      postgres::append_int32(out, 8);
      postgres::append_int64(out, value);
    };
    const std::int64_t now = postgres::timestamp_of(system_clock().wall());
    const std::string values[] = {
        array(2950,
              [&](std::string& out, const Order& o) {
                text(out, {reinterpret_cast<const char*>(o.id.bytes.data()), 16});
              }),
        array(25, [&](std::string& out, const Order& o) { text(out, o.product_id); }),
        array(23,
              [&](std::string& out, const Order& o) {
                postgres::append_int32(out, 4);
                postgres::append_int32(out, o.bucket);
              }),
        array(20, [&](std::string& out, const Order& o) { integer(out, o.quantity); }),
        array(25, [&](std::string& out, const Order& o) { text(out, o.user_id); }),
        array(21,
              [&](std::string& out, const Order&) {
                postgres::append_int32(out, 2);
                postgres::append_int16(out, 1);
              }),
        array(1184,
              [&](std::string& out, const Order& o) { integer(out, postgres::timestamp_of(o.accepted_at)); }),
        array(1184, [&](std::string& out, const Order&) { integer(out, now); })};
    const char* pointers[8];
    int lengths[8], formats[8];
    for (int i = 0; i < 8; ++i) {
      pointers[i] = values[i].data();
      lengths[i] = static_cast<int>(values[i].size());
      formats[i] = 1;
    }
    exec("BEGIN");
    PGresult* result = PQexecParams(
        handle_.get(),
        "INSERT INTO peer.unnested SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[], "
        "$5::text[], $6::smallint[], $7::timestamptz[], $8::timestamptz[]) ON CONFLICT DO NOTHING",
        8, nullptr, pointers, lengths, formats, 0);
    must(PQresultStatus(result) == PGRES_COMMAND_OK, PQerrorMessage(handle_.get()));
    PQclear(result);
    exec("INSERT INTO peer.offsets VALUES (1, " + std::to_string(orders.size()) +
         ") ON CONFLICT (partition) DO UPDATE SET next_offset = peer.offsets.next_offset + "
         "excluded.next_offset");
    exec("COMMIT");
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> handle_;
};

void bench_postgres(const std::string& server, int rounds) {
  RawPostgres admin{server};
  const std::string database =
      "flux_bench_" + std::to_string(system_clock().wall().time_since_epoch().count());
  admin.exec("CREATE DATABASE " + database);
  {
    const std::string url = server.substr(0, server.rfind('/') + 1) + database;
    FluxSide flux{postgres::open_ledger({.url = url, .timeout = std::chrono::seconds{30}})};
    RawPostgres peer{url};
    peer.exec("CREATE SCHEMA peer");
    peer.exec(std::string{"CREATE TABLE peer.unnested "} + kColumns);
    peer.exec(std::string{"CREATE TABLE peer.copied "} + kColumns);
    peer.exec("CREATE TABLE peer.offsets (partition integer PRIMARY KEY, next_offset bigint NOT NULL)");
    peer.exec("INSERT INTO peer.offsets VALUES (0, 0)");
    std::printf("PostgreSQL\n");
    for (const std::size_t batch : {1000, 5000})
      compare({{"flux settle_orders", [&](const auto& orders) { flux.settle(orders); }},
               {"hand-written unnest + ON CONFLICT", [&](const auto& orders) { peer.unnest(orders); }},
               {"raw binary COPY + offset", [&](const auto& orders) { peer.copy(orders); }}},
              batch, rounds);
  }
  admin.exec("DROP DATABASE " + database + " WITH (FORCE)");
}

// --- SQLite by hand ---------------------------------------------------------------

class BareSqlite {
 public:
  explicit BareSqlite(const std::string& file) {
    must(sqlite3_open(file.c_str(), &database_) == SQLITE_OK, "sqlite3_open");
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;"
        "CREATE TABLE orders (order_id BLOB PRIMARY KEY, product_id TEXT NOT NULL, bucket INTEGER NOT NULL, "
        "quantity INTEGER NOT NULL, user_id TEXT NOT NULL, status INTEGER NOT NULL, accepted_at INTEGER NOT "
        "NULL, "
        "settled_at INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE offsets (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);"
        "INSERT INTO offsets VALUES (0, 0)");
    must(sqlite3_prepare_v2(database_, "INSERT INTO orders VALUES (?,?,?,?,?,?,?,?)", -1, &insert_,
                            nullptr) == SQLITE_OK,
         "prepare");
  }
  ~BareSqlite() {
    sqlite3_finalize(insert_);
    sqlite3_close(database_);
  }

  void settle(const std::vector<Order>& orders) {
    run("BEGIN IMMEDIATE");
    for (const Order& order : orders) {
      sqlite3_bind_blob(insert_, 1, order.id.bytes.data(), 16, SQLITE_STATIC);
      sqlite3_bind_text(insert_, 2, order.product_id.data(), static_cast<int>(order.product_id.size()),
                        SQLITE_STATIC);
      sqlite3_bind_int(insert_, 3, order.bucket);
      sqlite3_bind_int64(insert_, 4, order.quantity);
      sqlite3_bind_text(insert_, 5, order.user_id.data(), static_cast<int>(order.user_id.size()),
                        SQLITE_STATIC);
      sqlite3_bind_int(insert_, 6, 1);
      sqlite3_bind_int64(insert_, 7, unix_us(order.accepted_at));
      sqlite3_bind_int64(insert_, 8, unix_us(order.accepted_at));
      must(sqlite3_step(insert_) == SQLITE_DONE, sqlite3_errmsg(database_));
      sqlite3_reset(insert_);
    }
    run("UPDATE offsets SET next_offset = next_offset + 1 WHERE partition = 0; COMMIT");
  }

 private:
  void run(const char* sql) {
    must(sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK, sqlite3_errmsg(database_));
  }
  sqlite3* database_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
};

void bench_embedded(int rounds) {
  const testing::ScratchDirectory directory;
  FluxSide flux{embedded::open_ledger({.directory = directory / "flux"})};
  BareSqlite bare{directory / "bare.db"};
  std::printf("embedded\n");
  for (const std::size_t batch : {1000, 5000})
    compare({{"flux settle_orders", [&](const auto& orders) { flux.settle(orders); }},
             {"bare SQLite insert loop", [&](const auto& orders) { bare.settle(orders); }}},
            batch, rounds);
}

}  // namespace
}  // namespace flux

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 40;
  flux::must(rounds > 0, "rounds must be a positive number");
  flux::bench_embedded(rounds);
  if (const char* url = std::getenv("FLUX_POSTGRES_URL")) {
    flux::bench_postgres(url, rounds);
  } else {
    std::printf("PostgreSQL left out: FLUX_POSTGRES_URL is not set\n");
  }
}
