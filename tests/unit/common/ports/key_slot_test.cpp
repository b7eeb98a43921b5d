#include "common/ports/key_slot.hpp"

#include <gtest/gtest.h>

namespace flux {
namespace {

// Published examples of the cluster specification and of CLUSTER KEYSLOT.
TEST(KeySlot, FollowsTheSpecification) {
  struct Case {
    const char* key;
    int slot;
  };
  for (const Case& c :
       {Case{"123456789", 0x31C3}, Case{"foo", 12182}, Case{"bar", 5061}, Case{"somekey", 11058},
        Case{"foo{hash_tag}", 2515}, Case{"bar{hash_tag}", 2515}, Case{"", 0}}) {
    EXPECT_EQ(key_slot(c.key), c.slot) << c.key;
  }
  EXPECT_EQ(key_slot("{user1000}.following"), key_slot("user1000"));
  EXPECT_EQ(key_slot("foo{bar}{zap}"), key_slot("bar"));
  EXPECT_EQ(key_slot("foo{{bar}}zap"), key_slot("{bar"));
  EXPECT_EQ(hash_tag("foo{}{bar}"), "foo{}{bar}");
  EXPECT_EQ(hash_tag("foo{bar"), "foo{bar");
  EXPECT_EQ(hash_tag("foo}bar{baz}"), "baz");
}

}  // namespace
}  // namespace flux
