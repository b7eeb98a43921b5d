#pragma once
// One connection to PostgreSQL, driven without blocking and with a deadline on
// every wait. Holds no session state, so that a pooler in transaction mode may
// put another server behind it after each transaction.

#include <libpq-fe.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/engines/distributed/postgres/wire_format.hpp"

namespace flux::postgres {

// Where and how to connect, parsed once. Its text never holds the password.
class Endpoint {
 public:
  // `role` names the setting in messages, e.g. "postgres.url".
  static Result<Endpoint> parse(const std::string& url, const std::string& role, Duration timeout);
  const std::string& name() const { return name_; }  // host:port/database

 private:
  friend class Connection;
  std::string name_;
  std::vector<std::pair<std::string, std::string>> settings_;
};

// Not thread-safe.
class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const Endpoint& endpoint, SteadyTime deadline);

  // Runs the statements as one transaction in one round trip: all or none. The
  // results come in the order of the statements. The server gives up shortly
  // before the deadline, so that the connection outlives a slow query.
  Result<std::vector<Rows>> run(const std::vector<Statement>& statements, SteadyTime deadline);

  // For COPY: sends several statements as text; their results (in text format)
  // come one by one from next(), nullptr after the last. A refused statement is a
  // result too, with status PGRES_FATAL_ERROR.
  Result<> send_script(const std::string& sql, SteadyTime deadline);
  Result<std::unique_ptr<Rows>> next(SteadyTime deadline);
  // The data of the COPY that next() announced with PGRES_COPY_IN.
  Result<> send_copy(std::string_view bytes, SteadyTime deadline);
  // Makes the COPY fail, and with it the transaction.
  Result<> abort_copy(SteadyTime deadline);

  Result<std::string> literal(std::string_view text);  // quoted for send_script
  // "SET LOCAL …" that bounds a transaction of send_script on the server.
  static std::string local_timeouts(SteadyTime deadline);

  bool in_transaction() const;  // between scripts
  // False: close it. True also means that no transaction is open.
  bool reusable();
  const std::string& server() const { return server_; }

 private:
  Connection(PGconn* handle, std::string server) : handle_(handle, &PQfinish), server_(std::move(server)) {}
  Result<> connect(SteadyTime deadline);
  Result<> wait(short events, SteadyTime deadline);
  Result<> flush(SteadyTime deadline);
  Result<PGresult*> receive(SteadyTime deadline);
  Result<> send(const Statement& statement);
  Error broken();

  std::unique_ptr<PGconn, decltype(&PQfinish)> handle_;
  std::string server_;
  bool usable_ = true;  // false: in the middle of something
};

}  // namespace flux::postgres
