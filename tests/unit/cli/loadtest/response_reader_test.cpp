#include "cli/loadtest/response_reader.hpp"

#include <gmock/gmock.h>

namespace flux::loadtest {
namespace {

using Progress = ResponseReader::Progress;

struct Case {
  const char* name;
  std::string bytes;
  unsigned status;
  std::string body;
  bool keep_alive;
  bool head = false;       // the answer to a HEAD request
  bool until_eof = false;  // complete only when the server closes
};

std::vector<Case> cases() {
  return {
      {"content length", "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true},
      {"empty body", "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202, "", true},
      {"chunked",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
       "chunked\r\n\r\n3;name=value\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n",
       200, "abcdefg", true},
      {"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
      {"http 1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
      {"http 1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200,
       "ok", true},
      {"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
      {"not modified with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, "", true},
      {"head with length", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 200, "", true, true},
      {"interim answers first",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 201 Created\r\n"
       "Content-Length: 1\r\n\r\n!",
       201, "!", true},
      {"body until the end", "HTTP/1.1 200 OK\r\n\r\nall there is", 200, "all there is", false, false, true},
      {"no reason", "HTTP/1.1 503 \r\nContent-Length: 4\r\n\r\nbusy", 503, "busy", true},
  };
}

Step reading_step(bool head) {
  Step step;
  step.method = head ? "HEAD" : "GET";
  step.checks.push_back({Check::Kind::header_present, "X-A", ""});
  return step;
}

void expect_answer(const Case& c, ResponseReader& reader, Progress progress, const std::string& where) {
  if (c.until_eof) {
    ASSERT_EQ(progress, Progress::need_more) << where;
    progress = reader.end_of_stream();
  }
  ASSERT_EQ(progress, Progress::done) << where;
  EXPECT_EQ(reader.status(), c.status) << where;
  EXPECT_EQ(reader.parts().body, c.body) << where;
  EXPECT_EQ(reader.keep_alive(), c.keep_alive) << where;
  EXPECT_EQ(reader.extra(), 0U) << where;
}

TEST(ResponseReader, ReadsEveryFormOfAnswerInOnePiece) {
  for (const Case& c : cases()) {
    const Step step = reading_step(c.head);
    ResponseReader reader(step);
    const Progress progress = reader.feed(c.bytes);
    expect_answer(c, reader, progress, c.name);
  }
}

TEST(ResponseReader, ReadsThemSplitAtAnyByteAndMovedBetweenThePieces) {
  for (const Case& c : cases()) {
    const Step step = reading_step(c.head);
    for (std::size_t split = 1; split < c.bytes.size(); ++split) {
      const std::string where = std::string(c.name) + " split at " + std::to_string(split);
      ResponseReader first(step);
      ASSERT_EQ(first.feed(std::string_view(c.bytes).substr(0, split)), Progress::need_more) << where;
      ResponseReader moved(std::move(first));
      const Progress progress = moved.feed(std::string_view(c.bytes).substr(split));
      expect_answer(c, moved, progress, where);
    }
  }
}

TEST(ResponseReader, ReadsThemByteByByte) {
  for (const Case& c : cases()) {
    const Step step = reading_step(c.head);
    ResponseReader reader(step);
    Progress progress = Progress::need_more;
    for (const char byte : c.bytes) {
      ASSERT_EQ(progress, Progress::need_more) << c.name;
      progress = reader.feed({&byte, 1});
    }
    expect_answer(c, reader, progress, c.name);
  }
}

TEST(ResponseReader, KeepsOnlyWhatTheStepLooksAt) {
  Step counting;
  ResponseReader reader(counting);
  ASSERT_EQ(reader.feed("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello"), Progress::done);
  EXPECT_EQ(reader.parts().body, "");
  EXPECT_TRUE(reader.parts().headers.empty());

  Step looking = reading_step(false);
  ResponseReader other(looking);
  ASSERT_EQ(other.feed("HTTP/1.1 200 OK\r\nx-a: b\r\nX-B: c\r\nContent-Length: 0\r\n\r\n"), Progress::done);
  ASSERT_EQ(other.parts().headers.size(), 1U);
  EXPECT_EQ(*other.parts().header("X-A"), "b");
}

TEST(ResponseReader, MoreThanTheAnswerEndsTheConnection) {
  Step step;
  ResponseReader reader(step);
  ASSERT_EQ(reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"), Progress::done);
  EXPECT_EQ(reader.extra(), 17U);
  EXPECT_FALSE(reader.keep_alive());
}

TEST(ResponseReader, RefusesWhatIsNotHttp) {
  for (const char* bytes :
       {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    Step step;
    ResponseReader reader(step);
    EXPECT_EQ(reader.feed(bytes), Progress::malformed) << bytes;
  }
}

TEST(ResponseReader, AnAnswerThatBreaksOffIsMalformed) {
  for (const char* bytes : {"HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"}) {
    Step step;
    ResponseReader reader(step);
    ASSERT_EQ(reader.feed(bytes), Progress::need_more) << bytes;
    EXPECT_EQ(reader.end_of_stream(), Progress::malformed) << bytes;
  }
}

}  // namespace
}  // namespace flux::loadtest
