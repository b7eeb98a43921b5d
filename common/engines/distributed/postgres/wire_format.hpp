#pragma once
// Values as PostgreSQL's binary protocol carries them: parameters of statements,
// rows that come back, and the stream of a binary COPY.

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/ids.hpp"

namespace flux::postgres {

// Bytes in network order, appended to `out`.
void append_int16(std::string& out, std::int16_t value);
void append_int32(std::string& out, std::int32_t value);
void append_int64(std::string& out, std::int64_t value);
std::int64_t timestamp_of(WallTime time);  // microseconds since 2000-01-01

class Parameters {
 public:
  Parameters& integer(std::int64_t value);
  Parameters& int32(std::int32_t value);
  Parameters& int16(std::int16_t value);
  Parameters& optional_integer(const std::optional<std::int64_t>& value);
  Parameters& optional_int16(const std::optional<std::int16_t>& value);
  // Bytes that are no UTF-8, or NUL, become '?': a text column cannot hold them.
  Parameters& text(std::string_view value);
  Parameters& optional_text(const std::optional<std::string>& value);
  Parameters& bytes(std::string_view value);
  Parameters& uuid(const Uuid& id);
  Parameters& optional_uuid(const std::optional<Uuid>& id);
  Parameters& uuids(const std::vector<Uuid>& ids);
  Parameters& time(WallTime value);
  Parameters& optional_time(const std::optional<WallTime>& value);

 private:
  friend class Connection;
  Parameters& add(Oid type, std::optional<std::string> value);
  std::vector<Oid> types_;
  std::vector<std::optional<std::string>> values_;
};

struct Statement {
  std::string sql;
  Parameters parameters{};
};

// A result in binary format. Getters trust the statement: column types are those
// the SQL of this folder selects.
class Rows {
 public:
  explicit Rows(PGresult* result) : result_(result, &PQclear) {}
  int count() const { return PQntuples(result_.get()); }
  ExecStatusType status() const { return PQresultStatus(result_.get()); }
  const PGresult* raw() const { return result_.get(); }

  bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view view(int row, int column) const;
  std::string text(int row, int column) const { return std::string{view(row, column)}; }
  std::int64_t integer(int row, int column) const;  // smallint, integer or bigint
  Uuid uuid(int row, int column) const;
  WallTime time(int row, int column) const;
  std::optional<WallTime> optional_time(int row, int column) const;

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

// The rows of one `COPY … FROM STDIN (FORMAT binary)`.
class CopyStream {
 public:
  explicit CopyStream(std::int16_t columns);
  void begin_row() { append_int16(bytes_, columns_); }
  void text(std::string_view value);
  void uuid(const Uuid& id);
  void int16(std::int16_t value);
  void int32(std::int32_t value);
  void integer(std::int64_t value);
  void time(WallTime value) { integer(timestamp_of(value)); }
  const std::string& finish();

 private:
  std::int16_t columns_;
  std::string bytes_;
};

}  // namespace flux::postgres
