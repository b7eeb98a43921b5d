#include "daemons/runtime/request_reader.hpp"

#include <gtest/gtest.h>

#include <random>

namespace flux::runtime {
namespace {

struct Case {
  const char* why;
  std::string bytes;
  int status;  // 0: a valid request
};

std::string get(const std::string& fields) {
  return "GET /x HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
std::string post(const std::string& fields, const std::string& body) {
  return "POST /x HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

// RFC 9112 sections 2.2, 3, 5.1, 5.2, 6.1, 6.3, 7.1 and the request-smuggling cases known from other servers.
const Case kCases[] = {
    {"plain", get(""), 0},
    {"empty line before", "\r\n" + get(""), 0},
    {"absolute form", "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", 0},
    {"HTTP/1.0 without Host", "GET /x HTTP/1.0\r\n\r\n", 0},
    {"body by length", post("Content-Length: 3\r\n", "abc"), 0},
    {"chunked", post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), 0},
    {"chunk extension", post("Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n0\r\n\r\n"), 0},
    {"empty value", get("X:\r\n"), 0},
    {"no Host", "GET /x HTTP/1.1\r\n\r\n", 400},
    {"two Hosts", get("Host: b\r\n"), 400},
    {"Host with a space", "GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
    {"Host with a path", "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"bare LF", "GET /x HTTP/1.1\nHost: a\n\n", 400},
    {"bare LF in header", "GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
    {"bare CR", get("X: a\rb\r\n"), 400},
    {"NUL", get(std::string("X: a\0b\r\n", 8)), 400},
    {"control character", get("X: a\x01\r\n"), 400},
    {"space before colon", get("X : y\r\n"), 400},
    {"space before first header", "GET /x HTTP/1.1\r\n Host: a\r\n\r\n", 400},
    {"folded line", get("X: a\r\n b\r\n"), 400},
    {"name is no token", get("X(y): z\r\n"), 400},
    {"no colon", get("nonsense\r\n"), 400},
    {"empty name", get(": z\r\n"), 400},
    {"both length and chunked", post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
     400},
    {"chunked and length", post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"), 400},
    {"two lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), 400},
    {"same length twice", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400},
    {"negative length", post("Content-Length: -1\r\n", ""), 400},
    {"signed length", post("Content-Length: +3\r\n", "abc"), 400},
    {"hex length", post("Content-Length: 0x3\r\n", "abc"), 400},
    {"overflowing length", post("Content-Length: 99999999999999999999\r\n", ""), 400},
    {"coding not chunked", post("Transfer-Encoding: gzip\r\n", ""), 501},
    {"chunked not last", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 501},
    {"chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {"chunked in 1.0", "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"chunk size not hex", post("Transfer-Encoding: chunked\r\n", "g\r\n\r\n"), 400},
    {"overflowing chunk", post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"), 400},
    {"chunk larger than said", post("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"), 400},
    {"body too large", post("Content-Length: 101\r\n", ""), 413},
    {"chunks too large", post("Transfer-Encoding: chunked\r\n", "65\r\n" + std::string(101, 'a')), 413},
    {"header too large", get("X: " + std::string(1100, 'a') + "\r\n"), 431},
    {"header without end", "GET /x HTTP/1.1\r\nX: " + std::string(1100, 'a'), 431},
    {"too many fields", get("A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\nG: 1\r\n"), 431},
    {"version 2", "GET /x HTTP/2.0\r\nHost: a\r\n\r\n", 505},
    {"no version", "GET /x\r\n\r\n", 400},
    {"two spaces", "GET  /x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"method is no token", "G(T /x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"target not a path", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"authority form", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"fragment", "GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"unknown expectation", get("Expect: wonders\r\n"), 417},
};

const RequestLimits kLimits{.header_bytes = 1024, .header_count = 7, .body_bytes = 100};

int outcome(const RequestReader& reader) {
  switch (reader.state()) {
    case RequestReader::State::complete: return 0;
    case RequestReader::State::failed: return reader.problem().status;
    default: return -1;
  }
}

TEST(RequestReader, TakesWhatTheRfcAllowsAndRefusesTheRest) {
  for (const auto& c : kCases) {
    RequestReader reader(kLimits);
    reader.feed(c.bytes);
    EXPECT_EQ(outcome(reader), c.status) << c.why << ": " << reader.problem().detail;
  }
}

// However the network cuts it, a request reads the same.
TEST(RequestReader, ReadsByteByByteAsWhole) {
  for (const auto& c : kCases) {
    RequestReader reader(kLimits);
    std::string pending;
    for (const char byte : c.bytes) {
      pending += byte;
      pending.erase(0, reader.feed(pending));
    }
    EXPECT_EQ(outcome(reader), c.status) << c.why;
  }
}

TEST(RequestReader, LeavesTheNextRequestUnread) {
  RequestReader reader(kLimits);
  const std::string first = post("Content-Length: 3\r\n", "abc"), second = get("");
  EXPECT_EQ(reader.feed(first + second), first.size());
  EXPECT_EQ(reader.request().body, "abc");
  reader.reset();
  EXPECT_EQ(reader.feed(second), second.size());
  EXPECT_EQ(outcome(reader), 0);
  EXPECT_EQ(reader.request().body, "");
}

TEST(RequestReader, SplitsTheTarget) {
  RequestReader reader(kLimits);
  reader.feed(
      "HEAD http://b:80/v1/x?a=1&b=%20 HTTP/1.1\r\nHost: a\r\nx-REQUEST-id: 7\r\nConnection: close\r\n\r\n");
  ASSERT_EQ(outcome(reader), 0);
  const auto& request = reader.request();
  EXPECT_EQ(request.method, "GET");
  EXPECT_TRUE(request.head_only);
  EXPECT_EQ(request.path, "/v1/x");
  EXPECT_EQ(request.query, "a=1&b=%20");
  EXPECT_EQ(request.header("X-Request-Id"), "7");
  EXPECT_EQ(request.header("absent"), "");
  EXPECT_FALSE(request.keep_alive);
}

TEST(RequestReader, SaysOnceThatTheClientWaits) {
  RequestReader reader(kLimits);
  reader.feed(post("Content-Length: 3\r\nExpect: 100-continue\r\n", ""));
  EXPECT_TRUE(reader.take_expect_continue());
  EXPECT_FALSE(reader.take_expect_continue());
}

// Bounded and deterministic; whatever comes, it ends in a state and within its limits.
TEST(RequestReader, SurvivesMutatedRequests) {
  std::mt19937 random(11);
  for (int i = 0; i < 30'000; ++i) {
    std::string bytes =
        kCases[random() % std::size(kCases)].bytes + kCases[random() % std::size(kCases)].bytes;
    for (int m = static_cast<int>(random() % 5); m > 0 && !bytes.empty(); --m) {
      const auto at = random() % bytes.size();
      switch (random() % 4) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes.erase(at, random() % 8); break;
        case 2: bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 16)); break;
        default: bytes.insert(at, 1, "\r\n :;\0\t%"[random() % 8]);
      }
    }
    RequestReader reader(kLimits);
    std::string pending;
    for (std::size_t at = 0; at < bytes.size();) {
      const auto n = std::min<std::size_t>(1 + random() % 64, bytes.size() - at);
      pending.append(bytes, at, n);
      at += n;
      const auto taken = reader.feed(pending);
      ASSERT_LE(taken, pending.size());
      pending.erase(0, taken);
      if (reader.state() == RequestReader::State::failed) break;
      if (reader.state() == RequestReader::State::complete) {
        ASSERT_LE(reader.request().body.size(), kLimits.body_bytes);
        reader.reset();
      }
    }
  }
}

}  // namespace
}  // namespace flux::runtime
