#include "common/engines/distributed/postgres/sql_error.hpp"

#include <algorithm>

namespace flux::postgres {
namespace {

struct Refusal {
  std::string_view state;  // the SQLSTATE or a prefix of it; "" : any
  std::string_view words;  // part of the message; "" : any
  Errc code;
  std::string_view hint;
  bool retryable;
};

// The first line that fits decides. Words are needed where libpq gives no
// SQLSTATE (while connecting) and where PgBouncer gives the same one for all.
constexpr Refusal kRefusals[] = {
    {"", "too many connections for", Errc::unavailable,
     "raise the CONNECTION LIMIT of the role or database, or lower postgres.pool", true},
    {"", "too many clients", Errc::unavailable,
     "raise max_connections in postgresql.conf, lower postgres.pool, or put PgBouncer in front", true},
    {"", "remaining connection slots", Errc::unavailable,
     "raise max_connections in postgresql.conf, lower postgres.pool, or put PgBouncer in front", true},
    {"", "no more connections allowed", Errc::unavailable,
     "raise max_client_conn in pgbouncer.ini, or lower postgres.pool", true},
    {"", "query_wait_timeout", Errc::unavailable,
     "raise default_pool_size or query_wait_timeout in pgbouncer.ini", true},
    {"53300", "", Errc::unavailable,
     "raise max_connections in postgresql.conf, lower postgres.pool, or put PgBouncer in front", true},
    {"53100", "", Errc::exhausted, "free space on the database server's disk", true},
    {"53", "", Errc::exhausted, "look at the database server's memory and limits", true},
    {"", "No space left on device", Errc::exhausted, "free space on the database server's disk", true},
    {"57014", "", Errc::timed_out,
     "look for locks and slow queries in pg_stat_activity, or raise postgres.timeout", true},
    {"25P03", "", Errc::timed_out, "", true},
    {"40", "", Errc::unavailable, "", true},  // serialisation, deadlock: the server asks to try again
    {"55P03", "", Errc::unavailable, "", true},
    {"57P", "", Errc::unavailable, "", true},  // shutting down, starting up, crashed
    {"25006", "", Errc::unavailable, "postgres.url must name the primary, not a standby", true},
    {"XX001", "", Errc::corrupted, "restore the database from a backup", false},
    {"XX002", "", Errc::corrupted, "rebuild the index with REINDEX", false},
    {"28", "", Errc::unauthorized, "check user and password in postgres.url", false},
    {"", "connection option", Errc::invalid_argument, "correct postgres.url", false},
    {"", "password authentication failed", Errc::unauthorized, "check user and password in postgres.url",
     false},
    {"", "SASL authentication failed", Errc::unauthorized, "check user and password in postgres.url", false},
    {"", "no password supplied", Errc::unauthorized, "put user and password into postgres.url", false},
    {"", "no pg_hba.conf entry", Errc::unauthorized, "allow this host and user in the server's pg_hba.conf",
     false},
    {"42501", "", Errc::forbidden, "grant the user of postgres.url the rights it needs", false},
    {"3D000", "", Errc::not_found, "create the database, or name another one in postgres.url", false},
    {"22", "", Errc::invalid_argument, "", false},
    {"08", "", Errc::unavailable, "", true},
    {"", "the database system is", Errc::unavailable, "", true},
    {"", "Connection refused", Errc::unavailable, "start it, or set postgres.url", true},
};

std::string one_line(std::string_view message) {
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.remove_suffix(1);
  std::string line{message};
  std::ranges::replace(line, '\n', ' ');
  return line;
}

}  // namespace

Error sql_error(std::string_view server, std::string_view state, std::string_view message) {
  const std::string text = "PostgreSQL at " + std::string{server} + ": " + one_line(message);
  for (const Refusal& refusal : kRefusals)
    if (state.starts_with(refusal.state) && message.find(refusal.words) != std::string_view::npos)
      return {refusal.code, text, std::string{refusal.hint}, refusal.retryable};
  // Connecting names the database last, so it comes after what is more exact.
  if (state.empty() && message.find("\" does not exist") != std::string_view::npos)
    return {Errc::not_found, text, "create the database, or name another one in postgres.url"};
  if (state.empty())
    return {Errc::unavailable, text, "check that it runs and that postgres.url is right", true};
  return {Errc::internal, text + " (SQLSTATE " + std::string{state} + ")"};
}

std::string_view sql_state(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return state == nullptr ? std::string_view{} : std::string_view{state};
}

Error sql_error(std::string_view server, const PGresult* result) {
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return sql_error(server, sql_state(result), message != nullptr ? message : PQresultErrorMessage(result));
}

}  // namespace flux::postgres
