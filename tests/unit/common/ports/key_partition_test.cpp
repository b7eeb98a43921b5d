#include "common/ports/key_partition.hpp"

#include <gtest/gtest.h>

namespace flux {
namespace {

// Oracle: Apache Kafka, UtilsTest.testMurmur2.
TEST(KeyPartition, HashesAsKafkaDoes) {
  EXPECT_EQ(murmur2("21"), -973932308);
  EXPECT_EQ(murmur2("foobar"), -790332482);
  EXPECT_EQ(murmur2("a-little-bit-long-string"), -985981536);
  EXPECT_EQ(murmur2("a-little-bit-longer-string"), -1486304829);
  EXPECT_EQ(murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
  EXPECT_EQ(murmur2("abc"), 479470107);
}

TEST(KeyPartition, MasksTheSignBeforeTheModulo) {
  EXPECT_EQ(partition_of_key("foobar", 12), (-790332482 & 0x7fffffff) % 12);
  EXPECT_EQ(partition_of_key("anything", 1), 0);
}

}  // namespace
}  // namespace flux
