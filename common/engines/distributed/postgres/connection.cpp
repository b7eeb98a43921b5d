#include "common/engines/distributed/postgres/connection.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "common/engines/distributed/postgres/sql_error.hpp"

namespace flux::postgres {
namespace {

using std::chrono::milliseconds;

milliseconds left(SteadyTime deadline) {
  return std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
}

// The server stops first, and says so, before this side gives the connection up.
std::int64_t server_timeout_ms(SteadyTime deadline) {
  return std::max<std::int64_t>(left(deadline).count() * 9 / 10, 1);
}

}  // namespace

Result<Endpoint> Endpoint::parse(const std::string& url, const std::string& role, Duration timeout) {
  // libpq's own words about a bad URL would quote it, password and all.
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options{
      PQconninfoParse(url.c_str(), nullptr), &PQconninfoFree};
  if (options == nullptr)
    return Error{Errc::invalid_argument, role + " is not a PostgreSQL URL",
                 "write it like postgresql://user:password@host:5432/database"};
  Endpoint endpoint;
  std::string host = "127.0.0.1", port = "5432", database;
  bool has_host = false;
  for (const auto* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr || *option->val == '\0') continue;
    const std::string_view keyword = option->keyword;
    if (keyword == "host" || keyword == "hostaddr") host = option->val, has_host = true;
    if (keyword == "port") port = option->val;
    if (keyword == "dbname") database = option->val;
    endpoint.settings_.emplace_back(keyword, option->val);
  }
  if (!has_host) endpoint.settings_.emplace_back("host", host);
  endpoint.name_ = host + ":" + port + "/" + database;
  const auto unless_set = [&](const char* keyword, const std::string& value) {
    const bool set =
        std::ranges::any_of(endpoint.settings_, [&](const auto& s) { return s.first == keyword; });
    if (!set) endpoint.settings_.emplace_back(keyword, value);
  };
  unless_set("fallback_application_name", "flux");
  unless_set("client_encoding", "UTF8");
  // A peer that vanished without a word is found out even while nothing is sent.
  unless_set("tcp_user_timeout", std::to_string(std::chrono::ceil<milliseconds>(timeout).count()));
  unless_set("keepalives_idle", "10");
  unless_set("keepalives_interval", "3");
  unless_set("keepalives_count", "3");
  return endpoint;
}

Result<std::unique_ptr<Connection>> Connection::open(const Endpoint& endpoint, SteadyTime deadline) {
  std::vector<const char*> keywords, values;
  for (const auto& [keyword, value] : endpoint.settings_) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  std::unique_ptr<Connection> connection{
      new Connection{PQconnectStartParams(keywords.data(), values.data(), 0), endpoint.name()}};
  if (connection->handle_ == nullptr) return Error{Errc::exhausted, "out of memory"};
  // Notices would otherwise go to this process's stderr, unasked.
  PQsetNoticeProcessor(
      connection->handle_.get(), [](void*, const char*) {}, nullptr);
  if (auto connected = connection->connect(deadline); !connected) return connected.error();
  return connection;
}

Result<> Connection::connect(SteadyTime deadline) {
  auto progress = PGRES_POLLING_WRITING;
  while (progress != PGRES_POLLING_OK) {
    if (progress == PGRES_POLLING_FAILED || PQstatus(handle_.get()) == CONNECTION_BAD)
      return sql_error(server_, "", PQerrorMessage(handle_.get()));
    if (auto ready = wait(progress == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline); !ready) {
      if (ready.error().code == Errc::timed_out)
        return Error{Errc::unavailable, "PostgreSQL at " + server_ + " does not answer while connecting",
                     "check that it runs, that postgres.url is right, and that no firewall drops packets",
                     true};
      return ready.error();
    }
    progress = PQconnectPoll(handle_.get());
  }
  if (PQsetnonblocking(handle_.get(), 1) != 0) return broken();
  return {};
}

Result<> Connection::wait(short events, SteadyTime deadline) {
  pollfd descriptor{.fd = PQsocket(handle_.get()), .events = events, .revents = 0};
  for (;;) {
    const auto patience = std::max<std::int64_t>(left(deadline).count(), 0);
    const int ready = ::poll(&descriptor, 1, static_cast<int>(std::min<std::int64_t>(patience, 3'600'000)));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return broken();
    if (ready == 0 && patience == 0)
      return Error{Errc::timed_out, "PostgreSQL at " + server_ + " did not answer in time",
                   "look at its load and locks (pg_stat_activity), or raise postgres.timeout", true};
  }
}

Error Connection::broken() {
  usable_ = false;
  return sql_error(server_, "", PQerrorMessage(handle_.get()));
}

Result<> Connection::flush(SteadyTime deadline) {
  for (;;) {
    const int pending = PQflush(handle_.get());
    if (pending == 0) return {};
    if (pending < 0) return broken();
    // The server may need to be read from before it reads on.
    if (auto ready = wait(POLLIN | POLLOUT, deadline); !ready) return ready;
    if (PQconsumeInput(handle_.get()) == 0) return broken();
  }
}

Result<PGresult*> Connection::receive(SteadyTime deadline) {
  while (PQisBusy(handle_.get()) != 0) {
    if (auto ready = wait(POLLIN, deadline); !ready) return ready.error();
    if (PQconsumeInput(handle_.get()) == 0) return broken();
  }
  return PQgetResult(handle_.get());
}

Result<> Connection::send(const Statement& statement) {
  const Parameters& parameters = statement.parameters;
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const auto& value : parameters.values_) {
    values.push_back(value ? value->data() : nullptr);
    lengths.push_back(value ? static_cast<int>(value->size()) : 0);
  }
  const std::vector<int> binary(values.size(), 1);
  if (PQsendQueryParams(handle_.get(), statement.sql.c_str(), static_cast<int>(values.size()),
                        parameters.types_.data(), values.data(), lengths.data(), binary.data(), 1) == 0)
    return broken();
  return {};
}

Result<std::vector<Rows>> Connection::run(const std::vector<Statement>& statements, SteadyTime deadline) {
  usable_ = false;
  if (PQenterPipelineMode(handle_.get()) == 0) return broken();
  const Statement timeout{"SELECT set_config('statement_timeout', $1, true)",
                          Parameters{}.text(std::to_string(server_timeout_ms(deadline)))};
  if (auto sent = send(timeout); !sent) return sent.error();
  for (const Statement& statement : statements)
    if (auto sent = send(statement); !sent) return sent.error();
  if (PQpipelineSync(handle_.get()) == 0) return broken();
  if (auto flushed = flush(deadline); !flushed) return flushed.error();

  std::vector<Rows> results;
  std::optional<Error> refused;
  for (;;) {
    auto received = receive(deadline);
    if (!received) return received.error();
    if (*received == nullptr) {
      if (PQstatus(handle_.get()) == CONNECTION_BAD) return refused ? *refused : broken();
      continue;  // ends the results of one statement
    }
    Rows rows{*received};
    if (rows.status() == PGRES_PIPELINE_SYNC) break;
    if (rows.status() == PGRES_FATAL_ERROR && !refused) refused = sql_error(server_, rows.raw());
    results.push_back(std::move(rows));
  }
  if (PQexitPipelineMode(handle_.get()) == 0) return broken();
  usable_ = true;
  if (refused) return *refused;
  results.erase(results.begin());  // of set_config
  return results;
}

Result<> Connection::send_script(const std::string& sql, SteadyTime deadline) {
  usable_ = false;
  if (PQsendQuery(handle_.get(), sql.c_str()) == 0) return broken();
  return flush(deadline);
}

Result<std::unique_ptr<Rows>> Connection::next(SteadyTime deadline) {
  auto received = receive(deadline);
  if (!received) return received.error();
  if (*received != nullptr) return std::make_unique<Rows>(*received);
  if (PQstatus(handle_.get()) == CONNECTION_BAD) return broken();
  usable_ = true;
  return std::unique_ptr<Rows>{};
}

Result<> Connection::send_copy(std::string_view bytes, SteadyTime deadline) {
  // In slices, so that libpq's buffer does not hold a second copy of everything.
  constexpr std::size_t kSlice = 64 << 10;
  for (std::size_t at = 0; at < bytes.size(); at += kSlice) {
    const auto slice = bytes.substr(at, kSlice);
    if (PQputCopyData(handle_.get(), slice.data(), static_cast<int>(slice.size())) <= 0) return broken();
    if (auto flushed = flush(deadline); !flushed) return flushed;
  }
  if (PQputCopyEnd(handle_.get(), nullptr) <= 0) return broken();
  return flush(deadline);
}

Result<> Connection::abort_copy(SteadyTime deadline) {
  if (PQputCopyEnd(handle_.get(), "given up by the client") <= 0) return broken();
  return flush(deadline);
}

Result<std::string> Connection::literal(std::string_view text) {
  const std::unique_ptr<char, decltype(&PQfreemem)> quoted{
      PQescapeLiteral(handle_.get(), text.data(), text.size()), &PQfreemem};
  if (quoted == nullptr) return Error{Errc::invalid_argument, "a name in the batch is not UTF-8"};
  return std::string{quoted.get()};
}

std::string Connection::local_timeouts(SteadyTime deadline) {
  const std::string ms = std::to_string(server_timeout_ms(deadline));
  return "SET LOCAL statement_timeout=" + ms + ";SET LOCAL idle_in_transaction_session_timeout=" + ms + ";";
}

bool Connection::in_transaction() const {
  const auto state = PQtransactionStatus(handle_.get());
  return usable_ && (state == PQTRANS_INTRANS || state == PQTRANS_INERROR);
}

bool Connection::reusable() {
  if (!usable_ || PQstatus(handle_.get()) != CONNECTION_OK ||
      PQtransactionStatus(handle_.get()) != PQTRANS_IDLE)
    return false;
  // Nothing is expected: what can be read now is the server's farewell.
  pollfd descriptor{.fd = PQsocket(handle_.get()), .events = POLLIN, .revents = 0};
  return ::poll(&descriptor, 1, 0) == 0;
}

}  // namespace flux::postgres
