#include "common/engines/embedded/record_batch.hpp"

#include <bit>
#include <cstring>

#include "common/ports/key_partition.hpp"

namespace flux::embedded {
namespace {

static_assert(std::endian::native == std::endian::little, "batches are stored little-endian");

void append_number(std::string& batch, std::size_t value) {
  const auto number = static_cast<std::uint32_t>(value);
  batch.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace

std::size_t encoded_size(const Record& record) {
  std::size_t size = 12 + record.key.size() + record.value.size();
  for (const auto& [name, value] : record.headers) size += 8 + name.size() + value.size();
  return size;
}

void append_record(std::string& batch, const Record& record) {
  append_number(batch, record.key.size());
  append_number(batch, record.value.size());
  append_number(batch, record.headers.size());
  batch += record.key;
  batch += record.value;
  for (const auto& [name, value] : record.headers) {
    append_number(batch, name.size());
    append_number(batch, value.size());
    batch += name;
    batch += value;
  }
}

std::int64_t batch_checksum(std::string_view batch) {
  return murmur2(batch);
}

bool BatchReader::number(std::uint32_t& value) {
  if (rest_.size() < sizeof value) return false;
  std::memcpy(&value, rest_.data(), sizeof value);
  rest_.remove_prefix(sizeof value);
  return true;
}

bool BatchReader::bytes(std::uint32_t size, std::string_view& value) {
  if (rest_.size() < size) return false;
  value = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

bool BatchReader::skip() {
  return next(nullptr);
}

bool BatchReader::read(ConsumedRecord& record) {
  return next(&record);
}

bool BatchReader::next(ConsumedRecord* record) {
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::uint32_t headers = 0;
  std::string_view key;
  std::string_view value;
  if (!number(key_size) || !number(value_size) || !number(headers) || !bytes(key_size, key) ||
      !bytes(value_size, value)) {
    return false;
  }
  if (record != nullptr) {
    record->key = key;
    record->value = value;
  }
  for (std::uint32_t i = 0; i < headers; ++i) {
    if (!number(key_size) || !number(value_size) || !bytes(key_size, key) || !bytes(value_size, value)) {
      return false;
    }
    if (record != nullptr) record->headers.emplace_back(key, value);
  }
  return true;
}

}  // namespace flux::embedded
