// Heads and bodies, however they are cut into pieces; and random bytes, which
// must never be read beyond or crash (the suite also runs under sanitizers).

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "daemons/balancer/body_stream.hpp"
#include "daemons/balancer/field_lists.hpp"
#include "daemons/balancer/request_head.hpp"
#include "daemons/balancer/response_head.hpp"

namespace flux::balancer {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kRequest =
    "POST /a?b HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x\r\nConnection: keep-alive, X-Gone\r\n"
    "X-Gone: 1\r\nContent-Length: 5\r\nCookie: a=1; sid=xyz; b=2\r\nIdempotency-Key: k\r\n\r\n";
constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=7, max=9\r\n"
    "X-Request-Id: r\r\nConnection: keep-alive\r\n\r\n";

std::string joined(const KeptLines& lines) {
  std::string text;
  for (const auto& run : lines) text += run.text();
  return text;
}

// A copy in its own allocation, so that a sanitizer sees reads past the end.
std::vector<char> exact(std::string_view bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(HeadScan, ResultDoesNotDependOnThePieces) {
  for (std::size_t cut = 0; cut < kRequest.size(); ++cut) {
    HeadScan scan;
    const auto part = exact(kRequest.substr(0, cut));
    ASSERT_EQ(scan.feed({part.data(), part.size()}, {}), ScanState::incomplete) << cut;
    ASSERT_EQ(scan.feed(kRequest, {}), ScanState::complete);
    ASSERT_EQ(scan.length, kRequest.size());
  }
}

TEST(RequestHead, ReadsWhatAProxyNeeds) {
  RequestHead head;
  const auto refusal = parse_request_head(kRequest, "user-agent", head);
  ASSERT_EQ(refusal.reason, "");
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/a?b");
  EXPECT_EQ(head.path(), "/a");
  EXPECT_EQ(head.host, "example.org");
  EXPECT_TRUE(head.keep_alive);
  EXPECT_TRUE(head.idempotent) << "by its Idempotency-Key";
  EXPECT_EQ(head.framing, BodyFraming::length);
  EXPECT_EQ(head.content_length, 5U);
  EXPECT_EQ(head.hashed_field, "x");
  EXPECT_EQ(cookie_value(head.cookie, "sid"), "xyz");
  EXPECT_EQ(cookie_value(head.cookie, "id"), "");
  EXPECT_EQ(joined(head.kept),
            "User-Agent: x\r\nContent-Length: 5\r\nCookie: a=1; sid=xyz; b=2\r\nIdempotency-Key: k\r\n");
}

TEST(RequestHead, OnlyIdempotentMethodsAreIdempotent) {
  for (const auto& [method, expected] : std::vector<std::pair<std::string, bool>>{{"GET", true},
                                                                                  {"HEAD", true},
                                                                                  {"OPTIONS", true},
                                                                                  {"TRACE", true},
                                                                                  {"PUT", true},
                                                                                  {"DELETE", true},
                                                                                  {"POST", false},
                                                                                  {"PATCH", false},
                                                                                  {"get", false},
                                                                                  {"LOCK", false}}) {
    RequestHead head;
    const std::string text = method + " / HTTP/1.1\r\nHost: a\r\n\r\n";
    ASSERT_EQ(parse_request_head(text, "", head).reason, "");
    EXPECT_EQ(head.idempotent, expected) << method;
  }
}

TEST(ResponseHead, ReadsWhatAProxyNeeds) {
  ResponseHead head;
  ASSERT_EQ(parse_response_head(kResponse, false, head), "");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.framing, BodyFraming::chunked);
  EXPECT_EQ(head.keep_alive_seconds, 7U);
  EXPECT_TRUE(head.has_request_id);
  EXPECT_EQ(head.status_line_rest, " 200 OK\r\n");
  EXPECT_EQ(joined(head.kept), "Server: x\r\nX-Request-Id: r\r\n");
}

TEST(BodyReader, ChunksDoNotDependOnThePieces) {
  const std::string body = "5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\nNEXT";
  for (std::size_t first = 0; first <= body.size(); ++first) {
    for (std::size_t second = first; second <= body.size(); second += 3) {
      BodyReader reader(BodyFraming::chunked, 0);
      std::string got;
      std::string left;
      for (const auto& [from, to] :
           {std::pair{std::size_t{0}, first}, {first, second}, {second, body.size()}}) {
        auto piece = exact(std::string_view(body).substr(from, to - from));
        const auto read = reader.read(piece.data(), piece.size());
        ASSERT_EQ(read.error, "");
        got += read.payload;
        left.append(piece.data() + read.consumed, piece.size() - read.consumed);
      }
      ASSERT_TRUE(reader.done());
      ASSERT_EQ(got, "hello world");
      ASSERT_EQ(left, "NEXT");
    }
  }
}

TEST(BodyReader, LengthTakesExactlyItsBytes) {
  BodyReader reader(BodyFraming::length, 5);
  std::string bytes = "helloGET /";
  const auto read = reader.read(bytes.data(), bytes.size());
  EXPECT_EQ(read.payload, "hello");
  EXPECT_EQ(read.consumed, 5U);
  EXPECT_TRUE(reader.done());
  EXPECT_TRUE(BodyReader(BodyFraming::length, 0).done());
}

TEST(FieldLists, ContentLengthIsDigitsBelowTwoToThe63) {
  EXPECT_EQ(parse_content_length("0"), 0U);
  EXPECT_EQ(parse_content_length("9223372036854775807"), 9223372036854775807U);
  for (const auto* bad : {"", "-1", "+1", "1 ", " 1", "0x1", "9223372036854775808", "1,1", "1e3"})
    EXPECT_FALSE(parse_content_length(bad)) << bad;
}

std::string mutate(std::string text, std::mt19937_64& random) {
  constexpr std::string_view kNasty = "\r\n\0 \t:;,0chunked\x7f\xff/"sv;
  for (auto changes = random() % 6; changes > 0; --changes) {
    const std::size_t at = random() % (text.size() + 1);
    switch (random() % 4) {
      case 0: text.insert(at, 1, kNasty[random() % kNasty.size()]); break;
      case 1:
        if (at < text.size()) text.erase(at, 1 + random() % 3);
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      default: text.insert(at, text.substr(at, random() % 20)); break;
    }
  }
  return text;
}

// What one reader accepts must be beyond doubt: none of these may be left.
void expect_unambiguous(std::string_view head) {
  for (std::size_t i = 0; i < head.size(); ++i) {
    const char c = head[i];
    ASSERT_NE(c, '\0');
    if (c == '\n') {
      ASSERT_TRUE(i > 0 && head[i - 1] == '\r');
    }
    if (c == '\r') {
      ASSERT_TRUE(i + 1 < head.size() && head[i + 1] == '\n');
    }
    if (c == '\n' && i + 1 < head.size()) {
      ASSERT_FALSE(head[i + 1] == ' ' || head[i + 1] == '\t');
    }
  }
}

TEST(Fuzz, MutatedHeadsNeverBreakTheReaders) {
  std::mt19937_64 random(20260801);
  int accepted = 0;
  for (int i = 0; i < 200000; ++i) {
    const bool request = i % 2 == 0;
    const auto bytes = exact(mutate(std::string(request ? kRequest : kResponse), random));
    HeadScan scan;
    const std::string_view text(bytes.data(), bytes.size());
    if (scan.feed(text, {.bytes = 400, .fields = 12}) != ScanState::complete) continue;
    const auto head_bytes = exact(text.substr(0, scan.length));
    const std::string_view head_text(head_bytes.data(), head_bytes.size());
    ASSERT_NO_FATAL_FAILURE(expect_unambiguous(head_text));
    std::string kept;
    if (request) {
      RequestHead head;
      if (!parse_request_head(head_text, "user-agent", head).reason.empty()) continue;
      kept = joined(head.kept);
      ASSERT_FALSE(head.framing == BodyFraming::chunked && head.content_length != 0);
    } else {
      ResponseHead head;
      if (!parse_response_head(head_text, false, head).empty()) continue;
      kept = joined(head.kept);
    }
    ++accepted;
    ASSERT_TRUE(kept.empty() || kept.ends_with("\r\n"));
    ASSERT_EQ(kept.find("\r\n\r\n"), std::string::npos);
  }
  EXPECT_GT(accepted, 1000) << "the mutations are too wild to test acceptance";
}

TEST(Fuzz, MutatedChunksNeverBreakTheReader) {
  std::mt19937_64 random(20260802);
  const std::string body = "5;e=1\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nT: a\r\n\r\n";
  for (int i = 0; i < 200000; ++i) {
    auto bytes = exact(mutate(body, random));
    BodyReader reader(BodyFraming::chunked, 0);
    std::size_t at = 0;
    std::size_t got = 0;
    while (at < bytes.size() && !reader.done()) {
      auto piece = exact({bytes.data() + at, std::min<std::size_t>(1 + random() % 20, bytes.size() - at)});
      const auto read = reader.read(piece.data(), piece.size());
      if (!read.error.empty()) break;
      ASSERT_TRUE(read.consumed == piece.size() || reader.done());
      ASSERT_LE(read.payload.size(), read.consumed);
      got += read.payload.size();
      at += read.consumed;
    }
    ASSERT_LE(got, bytes.size());
  }
}

}  // namespace
}  // namespace flux::balancer
