#include "common/engines/distributed/postgres/settle_batch.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>
#include <unordered_map>

#include "common/engines/distributed/postgres/sql_error.hpp"
#include "common/order/settle_order.hpp"
#include "common/ports/offset_fence.hpp"

namespace flux::postgres {
namespace {

// What a transaction came to.
enum class Attempt {
  done,
  repeated,  // these ranges were written before; the outcomes are the first ones
  redo,      // rolled back: the shortcut does not hold for this batch
};

// First try: every order is taken for new and its stock for sufficient, so that
// the whole transaction is known beforehand and costs two round trips. When that
// does not hold, the second way reads what the ledger knows about the orders
// under the products' locks and decides one by one, in log order.
enum class Way { straight, looking };

std::int64_t integer_at(const Rows& rows, int row, int column) {
  const std::string_view text = rows.view(row, column);
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text += text.empty() ? part : "," + part;
  return text;
}

class SettleTransaction {
 public:
  SettleTransaction(Connection& connection, const SettleBatch& batch, Way way, SteadyTime deadline)
      : connection_(connection), batch_(batch), way_(way), deadline_(deadline) {
    std::unordered_map<std::string_view, std::int64_t> sums;
    for (const Order& order : batch_.orders) {
      // Sums beyond every stock may be cut: they do not suffice either way.
      std::int64_t& sum = sums[order.product_id];
      sum = order.quantity <= 0 ? kMaxStock + 1
                                : std::min(sum + std::min(order.quantity, kMaxStock), kMaxStock + 1);
    }
    asked_ = {sums.begin(), sums.end()};
  }

  Result<Attempt> run();
  std::vector<SettledOrder>& outcomes() { return outcomes_; }

 private:
  Result<std::string> opening();
  Result<std::string> closing();
  Result<std::unique_ptr<Rows>> expect(ExecStatusType status);
  Result<> read_opening();
  Result<FenceVerdict> fence() const;
  void write_row(CopyStream& stream, const Order& order, OrderStatus status);
  void confirm_all(CopyStream& stream);
  bool stock_suffices_for_all();
  void decide(CopyStream& stream);
  Result<> finish_script();
  Error refusal(const Rows& result);
  void roll_back();
  Result<Attempt> repeat();

  Connection& connection_;
  const SettleBatch& batch_;
  Way way_;
  SteadyTime deadline_;

  std::map<std::string_view, std::int64_t> asked_;  // pieces per product, in the order of the locks
  using PartitionKey = std::tuple<std::string, std::string, std::int32_t>;
  std::map<PartitionKey, PartitionOffset> offsets_;
  std::map<std::string, StockLine, std::less<>> stock_;
  std::map<std::string, std::int64_t, std::less<>> confirmed_before_;
  std::unordered_map<Uuid, SettledOrder> known_;
  std::vector<SettledOrder> outcomes_;
  bool worth_redoing_ = false;  // the refusal is about other transactions
};

// Locks in one order in every transaction (offsets, then products, each sorted),
// so that two of them never wait for each other.
Result<std::string> SettleTransaction::opening() {
  std::vector<std::string> partitions, products;
  for (const OffsetRange& range : batch_.ranges) {
    auto group = connection_.literal(range.claim->group),
         topic = connection_.literal(range.claim->source.topic);
    if (!group) return group;
    if (!topic) return topic;
    partitions.push_back("(" + *group + "," + *topic + "," + std::to_string(range.claim->source.partition) +
                         ")");
  }
  for (const auto& [id, pieces] : asked_) {
    auto literal = connection_.literal(id);
    if (!literal) return literal;
    products.push_back(*literal);
  }
  std::string sql = "BEGIN;" + Connection::local_timeouts(deadline_) +
                    "SELECT consumer_group,topic,partition,epoch,next_offset FROM flux.offsets "
                    "WHERE (consumer_group,topic,partition) IN (" +
                    joined(partitions) +
                    ") ORDER BY consumer_group,topic,partition FOR UPDATE;"
                    "SELECT product_id,stock,confirmed FROM flux.products WHERE product_id IN (" +
                    (products.empty() ? "NULL" : joined(products)) + ") ORDER BY product_id FOR UPDATE;";
  if (way_ == Way::looking) {
    sql += "SELECT order_id,product_id,bucket,status FROM flux.orders WHERE order_id = ANY('{";
    for (std::size_t i = 0; i < batch_.orders.size(); ++i)
      sql += (i == 0 ? "" : ",") + batch_.orders[i].id.to_string();
    sql += "}'::uuid[]);";
  }
  return sql +
         "COPY flux.orders (order_id,product_id,bucket,quantity,user_id,status,accepted_at,settled_at) "
         "FROM STDIN (FORMAT binary);";
}

// The straight way adds all quantities; the looking way adds what was decided.
Result<std::string> SettleTransaction::closing() {
  std::map<std::string_view, std::int64_t> added;
  if (way_ == Way::straight) {
    added = asked_;
  } else {
    for (const auto& [id, line] : stock_)
      if (const auto more = line.confirmed - confirmed_before_.at(id); more != 0) added[id] = more;
  }
  std::string sql;
  for (const OffsetRange& range : batch_.ranges) {
    auto group = connection_.literal(range.claim->group),
         topic = connection_.literal(range.claim->source.topic);
    if (!group) return group;
    if (!topic) return topic;
    sql += "UPDATE flux.offsets SET next_offset=" + std::to_string(range.to) +
           " WHERE consumer_group=" + *group + " AND topic=" + *topic +
           " AND partition=" + std::to_string(range.claim->source.partition) + ";";
  }
  if (!added.empty()) {
    std::vector<std::string> rows;
    for (const auto& [id, quantity] : added) {
      auto literal = connection_.literal(id);
      if (!literal) return literal;
      rows.push_back("(" + *literal + "," + std::to_string(quantity) + "::bigint)");
    }
    sql += "UPDATE flux.products p SET confirmed=p.confirmed+a.quantity FROM (VALUES " + joined(rows) +
           ") a (product_id,quantity) WHERE p.product_id=a.product_id;";
  }
  return sql + "COMMIT";
}

Result<std::unique_ptr<Rows>> SettleTransaction::expect(ExecStatusType status) {
  auto result = connection_.next(deadline_);
  if (!result) return result;
  if (*result == nullptr) return Error{Errc::internal, "PostgreSQL ended a script early"};
  if ((*result)->status() == PGRES_FATAL_ERROR) return refusal(**result);
  if ((*result)->status() != status)
    return Error{Errc::internal,
                 std::string{"PostgreSQL answered "} + PQresStatus((*result)->status()) + " unexpectedly"};
  return result;
}

Result<> SettleTransaction::read_opening() {
  for (int i = 0; i < 3; ++i)  // BEGIN and two SET LOCAL
    if (auto done = expect(PGRES_COMMAND_OK); !done) return done.error();
  auto offsets = expect(PGRES_TUPLES_OK);
  if (!offsets) return offsets.error();
  for (int i = 0; i < (*offsets)->count(); ++i)
    offsets_[{(*offsets)->text(i, 0), (*offsets)->text(i, 1),
              static_cast<std::int32_t>(integer_at(**offsets, i, 2))}] = {integer_at(**offsets, i, 3),
                                                                          integer_at(**offsets, i, 4)};
  auto products = expect(PGRES_TUPLES_OK);
  if (!products) return products.error();
  for (int i = 0; i < (*products)->count(); ++i) {
    const StockLine line{integer_at(**products, i, 1), integer_at(**products, i, 2)};
    stock_[(*products)->text(i, 0)] = line;
    confirmed_before_[(*products)->text(i, 0)] = line.confirmed;
  }
  if (way_ == Way::looking) {
    auto orders = expect(PGRES_TUPLES_OK);
    if (!orders) return orders.error();
    for (int i = 0; i < (*orders)->count(); ++i) {
      const auto id = Uuid::parse((*orders)->view(i, 0));
      if (!id) return id.error();
      known_.emplace(
          *id, SettledOrder{*id, (*orders)->text(i, 1), static_cast<std::int32_t>(integer_at(**orders, i, 2)),
                            static_cast<OrderStatus>(integer_at(**orders, i, 3))});
    }
  }
  auto copy = expect(PGRES_COPY_IN);
  if (!copy) return copy.error();
  return {};
}

Result<FenceVerdict> SettleTransaction::fence() const {
  std::vector<std::optional<PartitionOffset>> present;
  for (const OffsetRange& range : batch_.ranges) {
    const auto& source = range.claim->source;
    const auto found = offsets_.find({range.claim->group, source.topic, source.partition});
    present.push_back(found == offsets_.end() ? std::nullopt : std::optional{found->second});
  }
  return check_fence(batch_.ranges, present);
}

void SettleTransaction::write_row(CopyStream& stream, const Order& order, OrderStatus status) {
  outcomes_.push_back({order.id, order.product_id, order.bucket, status});
  stream.begin_row();
  stream.uuid(order.id);
  stream.text(order.product_id);
  stream.int32(order.bucket);
  stream.integer(order.quantity);
  stream.text(order.user_id);
  stream.int16(static_cast<std::int16_t>(status));
  stream.time(order.accepted_at);
  stream.time(batch_.now);
}

// The straight way: needs no answer of the server, so it runs beside it.
void SettleTransaction::confirm_all(CopyStream& stream) {
  for (const Order& order : batch_.orders) write_row(stream, order, OrderStatus::confirmed);
}

// When all of a product's pieces can be confirmed together, each order can in turn.
bool SettleTransaction::stock_suffices_for_all() {
  return std::ranges::all_of(asked_, [&](const auto& product) {
    const auto line = stock_.find(product.first);
    return settle_order(line == stock_.end() ? nullptr : &line->second, product.second) ==
           OrderStatus::confirmed;
  });
}

// The looking way: one by one, in log order.
void SettleTransaction::decide(CopyStream& stream) {
  for (const Order& order : batch_.orders) {
    if (const auto known = known_.find(order.id); known != known_.end()) {
      outcomes_.push_back(known->second);
      continue;
    }
    const auto line = stock_.find(order.product_id);
    write_row(stream, order, settle_order(line == stock_.end() ? nullptr : &line->second, order.quantity));
    known_.emplace(order.id, outcomes_.back());
  }
}

Error SettleTransaction::refusal(const Rows& result) {
  const std::string_view state = sql_state(result.raw());
  // An order that is there already, a deadlock, a serialisation failure.
  if (state == kUniqueViolation || state.starts_with("40")) worth_redoing_ = true;
  return sql_error(connection_.server(), result.raw());
}

// Reads a script's results to the end; the first refusal is the answer.
Result<> SettleTransaction::finish_script() {
  std::optional<Error> refused;
  for (;;) {
    auto result = connection_.next(deadline_);
    if (!result) return refused ? *refused : result.error();
    if (*result == nullptr) break;
    if ((*result)->status() == PGRES_FATAL_ERROR && !refused) refused = refusal(**result);
  }
  if (refused) return *refused;
  return {};
}

// When that is not possible any more, the connection gets closed instead.
void SettleTransaction::roll_back() {
  (void)finish_script();
  if (connection_.in_transaction() && connection_.send_script("ROLLBACK", deadline_)) (void)finish_script();
}

Result<Attempt> SettleTransaction::run() {
  auto script = opening();
  if (!script) return script.error();
  if (way_ == Way::straight) {
    auto tail = closing();
    if (!tail) return tail.error();
    *script += *tail;
  }
  if (auto sent = connection_.send_script(*script, deadline_); !sent) return sent.error();
  CopyStream stream{8};
  outcomes_.reserve(batch_.orders.size());
  if (way_ == Way::straight) confirm_all(stream);
  if (auto opened = read_opening(); !opened) {
    roll_back();
    if (worth_redoing_) return Attempt::redo;
    return opened.error();
  }
  const auto verdict = fence();
  const bool passes = verdict && *verdict == FenceVerdict::pass;
  if (passes && way_ == Way::looking) decide(stream);
  if (!passes || (way_ == Way::straight && !stock_suffices_for_all())) {
    if (auto aborted = connection_.abort_copy(deadline_); !aborted) return aborted.error();
    roll_back();
    if (!verdict) return verdict.error();
    if (way_ == Way::straight) return Attempt::redo;
    return repeat();
  }
  if (auto sent = connection_.send_copy(stream.finish(), deadline_); !sent) return sent.error();
  auto written = finish_script();
  if (written && way_ == Way::looking) {
    auto tail = closing();
    if (!tail) return tail.error();
    if (auto sent = connection_.send_script(*tail, deadline_); !sent) return sent.error();
    written = finish_script();
  }
  if (written) return Attempt::done;
  roll_back();
  if (worth_redoing_) return Attempt::redo;
  return written.error();
}

// The outcomes of a batch that was committed before.
Result<Attempt> SettleTransaction::repeat() {
  for (const Order& order : batch_.orders) {
    const auto known = known_.find(order.id);
    if (known == known_.end())
      return fenced_error(*batch_.ranges.front().claim,
                          "is past this batch, which holds an order that is new");
    outcomes_.push_back(known->second);
  }
  return Attempt::repeated;
}

}  // namespace

Result<std::vector<SettledOrder>> settle_batch(Connection& connection, const SettleBatch& batch,
                                               SteadyTime deadline) {
  // Orders of other partitions can get in between even the second way, when their
  // product is unknown and so has no row to lock. Each time one outcome more stands.
  constexpr int kTries = 8;
  for (int i = 0; i < kTries; ++i) {
    SettleTransaction transaction{connection, batch, i == 0 ? Way::straight : Way::looking, deadline};
    auto attempt = transaction.run();
    if (!attempt) return attempt.error();
    if (*attempt != Attempt::redo) return std::move(transaction.outcomes());
  }
  return Error{Errc::unavailable, "other workers kept settling the same orders at the same time", "", true};
}

}  // namespace flux::postgres
