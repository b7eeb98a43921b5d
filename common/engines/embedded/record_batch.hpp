#pragma once
// The bytes of a batch: the records of one partition that were appended
// together, with consecutive offsets. Little-endian; per record
//   u32 key size, u32 value size, u32 number of headers, key, value,
//   and per header u32 name size, u32 value size, name, value.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/ports/event_log.hpp"

namespace flux::embedded {

// What the record takes in a batch.
std::size_t encoded_size(const Record& record);
void append_record(std::string& batch, const Record& record);

std::int64_t batch_checksum(std::string_view batch);

// Reads the records one by one; views point into the batch.
class BatchReader {
 public:
  explicit BatchReader(std::string_view batch) : rest_(batch) {}
  // Moves on without looking. False: the batch ended or is damaged.
  bool skip();
  // Fills key, value and headers. False: as above.
  bool read(ConsumedRecord& record);

 private:
  bool next(ConsumedRecord* record);  // null: only moves on
  bool number(std::uint32_t& value);
  bool bytes(std::uint32_t size, std::string_view& value);
  std::string_view rest_;
};

}  // namespace flux::embedded
