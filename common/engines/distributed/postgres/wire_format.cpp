#include "common/engines/distributed/postgres/wire_format.hpp"

#include <algorithm>
#include <cstring>

namespace flux::postgres {
namespace {

// From catalog/pg_type.dat; fixed for ever.
constexpr Oid kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25, kTimestamptz = 1184, kUuid = 2950,
              kUuidArray = 2951;
constexpr std::int64_t kEpoch2000Us = 946'684'800'000'000;

template <class T>
void append_big_endian(std::string& out, T value) {
  char bytes[sizeof value];
  for (std::size_t i = 0; i < sizeof value; ++i)
    bytes[i] = static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * (sizeof value - 1 - i)));
  out.append(bytes, sizeof value);
}

template <class T>
std::string big_endian(T value) {
  std::string out;
  append_big_endian(out, value);
  return out;
}

std::string_view bytes_of(const Uuid& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

// Length of the well-formed UTF-8 sequence (RFC 3629) that `text` begins with; 0: none.
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return lead == 0 ? 0 : 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
      (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f))
    return 0;
  return length;
}

std::string storable_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (length == 0) {
      out += '?';
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

}  // namespace

void append_int16(std::string& out, std::int16_t value) {
  append_big_endian(out, value);
}
void append_int32(std::string& out, std::int32_t value) {
  append_big_endian(out, value);
}
void append_int64(std::string& out, std::int64_t value) {
  append_big_endian(out, value);
}
std::int64_t timestamp_of(WallTime time) {
  return unix_us(time) - kEpoch2000Us;
}

Parameters& Parameters::add(Oid type, std::optional<std::string> value) {
  types_.push_back(type);
  values_.push_back(std::move(value));
  return *this;
}
Parameters& Parameters::integer(std::int64_t value) {
  return add(kInt8, big_endian(value));
}
Parameters& Parameters::int32(std::int32_t value) {
  return add(kInt4, big_endian(value));
}
Parameters& Parameters::int16(std::int16_t value) {
  return add(kInt2, big_endian(value));
}
Parameters& Parameters::optional_integer(const std::optional<std::int64_t>& value) {
  return value ? integer(*value) : add(kInt8, std::nullopt);
}
Parameters& Parameters::optional_int16(const std::optional<std::int16_t>& value) {
  return value ? int16(*value) : add(kInt2, std::nullopt);
}
Parameters& Parameters::text(std::string_view value) {
  return add(kText, storable_text(value));
}
Parameters& Parameters::optional_text(const std::optional<std::string>& value) {
  return value ? text(*value) : add(kText, std::nullopt);
}
Parameters& Parameters::bytes(std::string_view value) {
  return add(kBytea, std::string{value});
}
Parameters& Parameters::uuid(const Uuid& id) {
  return add(kUuid, std::string{bytes_of(id)});
}
Parameters& Parameters::optional_uuid(const std::optional<Uuid>& id) {
  return id ? uuid(*id) : add(kUuid, std::nullopt);
}
Parameters& Parameters::uuids(const std::vector<Uuid>& ids) {
  std::string array;
  append_int32(array, 1);  // dimensions
  append_int32(array, 0);  // no nulls
  append_int32(array, static_cast<std::int32_t>(kUuid));
  append_int32(array, static_cast<std::int32_t>(ids.size()));
  append_int32(array, 1);  // lower bound
  for (const Uuid& id : ids) {
    append_int32(array, 16);
    array += bytes_of(id);
  }
  return add(kUuidArray, std::move(array));
}
Parameters& Parameters::time(WallTime value) {
  return add(kTimestamptz, big_endian(timestamp_of(value)));
}
Parameters& Parameters::optional_time(const std::optional<WallTime>& value) {
  return value ? time(*value) : add(kTimestamptz, std::nullopt);
}

std::string_view Rows::view(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t Rows::integer(int row, int column) const {
  const std::string_view bytes = view(row, column);
  std::uint64_t value = !bytes.empty() && (bytes[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return static_cast<std::int64_t>(value);
}

Uuid Rows::uuid(int row, int column) const {
  Uuid id;
  const std::string_view bytes = view(row, column);
  std::memcpy(id.bytes.data(), bytes.data(), std::min(bytes.size(), id.bytes.size()));
  return id;
}

WallTime Rows::time(int row, int column) const {
  return from_unix_us(integer(row, column) + kEpoch2000Us);
}

std::optional<WallTime> Rows::optional_time(int row, int column) const {
  return is_null(row, column) ? std::nullopt : std::optional{time(row, column)};
}

CopyStream::CopyStream(std::int16_t columns) : columns_(columns) {
  bytes_.assign("PGCOPY\n\377\r\n\0", 11);
  append_int32(bytes_, 0);  // flags
  append_int32(bytes_, 0);  // length of the header's extension
}
void CopyStream::text(std::string_view value) {
  append_int32(bytes_, static_cast<std::int32_t>(value.size()));
  bytes_ += value;
}
void CopyStream::uuid(const Uuid& id) {
  text(bytes_of(id));
}
void CopyStream::int16(std::int16_t value) {
  append_int32(bytes_, 2);
  append_int16(bytes_, value);
}
void CopyStream::int32(std::int32_t value) {
  append_int32(bytes_, 4);
  append_int32(bytes_, value);
}
void CopyStream::integer(std::int64_t value) {
  append_int32(bytes_, 8);
  append_int64(bytes_, value);
}
const std::string& CopyStream::finish() {
  append_int16(bytes_, -1);
  return bytes_;
}

}  // namespace flux::postgres
