#include "common/engines/embedded/record_batch.hpp"

#include <gtest/gtest.h>

namespace flux::embedded {
namespace {

TEST(RecordBatch, ReadsBackWhatWasAppendedAndSkipsWhatIsNotWanted) {
  const Record first{"t", "", "", {}};
  const Record second{"t", "key", std::string("\0v", 2), {{"a", "1"}, {"a", ""}}};
  std::string batch;
  append_record(batch, first);
  append_record(batch, second);
  EXPECT_EQ(batch.size(), encoded_size(first) + encoded_size(second));

  BatchReader reader{batch};
  ASSERT_TRUE(reader.skip());
  ConsumedRecord record;
  ASSERT_TRUE(reader.read(record));
  EXPECT_EQ(record.key, second.key);
  EXPECT_EQ(record.value, second.value);
  EXPECT_EQ(record.headers, second.headers);
  EXPECT_FALSE(reader.read(record));
}

TEST(RecordBatch, RefusesEveryTruncationAndHugeSizes) {
  std::string batch;
  append_record(batch, {"t", "key", "value", {{"name", "text"}}});
  for (std::size_t size = 0; size < batch.size(); ++size) {
    ConsumedRecord record;
    EXPECT_FALSE(BatchReader{std::string_view{batch}.substr(0, size)}.read(record)) << size;
  }
  for (std::size_t field = 0; field < 12; field += 4) {
    std::string damaged = batch;
    damaged.replace(field, 4, "\xff\xff\xff\xff");
    EXPECT_FALSE(BatchReader{damaged}.skip()) << field;
  }
}

}  // namespace
}  // namespace flux::embedded
