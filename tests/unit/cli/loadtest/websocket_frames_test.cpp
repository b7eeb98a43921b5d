#include "cli/loadtest/websocket_frames.hpp"

#include <gtest/gtest.h>

namespace flux::loadtest {
namespace {

// RFC 6455, section 5.7.
TEST(WebSocketFrames, WritesTheMaskedHelloOfTheRfc) {
  std::string out;
  append_frame(out, Opcode::text, "Hello", 0x3d21fa37);
  EXPECT_EQ(out, std::string("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11));
}

TEST(WebSocketFrames, ReadsTheExamplesOfTheRfcSplitAtAnyByte) {
  const std::string hello("\x81\x05Hello", 7);
  const std::string fragments("\x01\x03Hel\x80\x02lo", 9);
  const std::string ping_between("\x01\x03Hel\x89\x02hi\x80\x02lo", 13);
  for (const std::string& bytes : {hello, fragments, ping_between}) {
    for (std::size_t split = 0; split <= bytes.size(); ++split) {
      FrameReader reader;
      ASSERT_TRUE(reader.feed(bytes.substr(0, split)));
      ASSERT_TRUE(reader.feed(bytes.substr(split)));
      ASSERT_FALSE(reader.messages().empty());
      EXPECT_EQ(reader.messages().back().payload, "Hello");
      EXPECT_EQ(reader.messages().back().opcode, Opcode::text);
    }
  }
}

TEST(WebSocketFrames, ReadsEveryLengthForm) {
  for (const std::size_t size : {0U, 125U, 126U, 256U, 65'535U, 65'536U}) {
    std::string bytes = "\x82";
    if (size < 126) {
      bytes += static_cast<char>(size);
    } else if (size <= 65'535) {
      bytes += std::string("\x7e") + static_cast<char>(size >> 8) + static_cast<char>(size);
    } else {
      bytes += std::string("\x7f\0\0\0\0\0\1\0\0", 9);
    }
    bytes += std::string(size, 'x');
    FrameReader reader;
    ASSERT_TRUE(reader.feed(bytes));
    ASSERT_EQ(reader.messages().size(), 1U) << size;
    EXPECT_EQ(reader.messages()[0].payload.size(), size);
  }
}

TEST(WebSocketFrames, RefusesWhatAServerMustNotSend) {
  const std::string bad[] = {std::string("\x81\x85\0\0\0\0Hello", 11),  // masked
                             std::string("\xc1\x00", 2),                // reserved bit
                             std::string("\x83\x00", 2),                // unknown opcode
                             std::string("\x80\x00", 2),                // continues nothing
                             std::string("\x01\x01"
                                         "a\x01\x01"
                                         "b",
                                         6),                                  // new message inside one
                             std::string("\x09\x00", 2),                      // fragmented ping
                             std::string("\x89\x7e\x00\x80", 4),              // long ping
                             std::string("\x82\x7f\xff\0\0\0\0\0\0\0", 10)};  // endless
  for (const std::string& bytes : bad) {
    FrameReader reader;
    EXPECT_FALSE(reader.feed(bytes)) << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace flux::loadtest
