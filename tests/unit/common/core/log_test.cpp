#include "common/core/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <regex>

namespace flux::log {
namespace {

class Log : public ::testing::Test {
 protected:
  ~Log() override { configure(Level::info, Format::text, ""); }

  template <class Write>
  static std::string written_by(Write write_it) {
    ::testing::internal::CaptureStderr();
    write_it();
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(Log, WritesTimeLevelSourceMessageAndFields) {
  configure(Level::info, Format::text, "api-1");
  const auto line = written_by([] {
    warning("slow answer",
            {{"path", "/v1/orders"}, {"note", "two words"}, {"empty", ""}, {"quoted", "a\"b"}});
  });
  const std::regex expected(R"re(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning \[api-1\] slow answer )re"
                            R"re(path=/v1/orders note="two words" empty="" quoted="a\\"b"\n)re");
  EXPECT_TRUE(std::regex_match(line, expected)) << line;
}

TEST_F(Log, WritesNothingBelowItsLevel) {
  configure(Level::error, Format::text, "");
  EXPECT_EQ(written_by([] { warning("hidden"); }), "");
  EXPECT_NE(written_by([] { error("shown"); }), "");
  configure(Level::off, Format::text, "");
  EXPECT_EQ(written_by([] { error("hidden"); }), "");
  EXPECT_FALSE(enabled(Level::off));
}

TEST_F(Log, KeepsOneEventOnOneLineWhateverItHolds) {
  for (const Format format : {Format::text, Format::json}) {
    configure(Level::info, format, "");
    const auto line = written_by([] {
      info("first\nsecond\r\x1b[31m", {{"k", "x\n2020-01-01 error forged"}});
    });
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
  }
}

// Boost.JSON is the outside judge: it refuses what is not JSON or not UTF-8.
TEST_F(Log, WritesJsonThatReadsBack) {
  configure(Level::info, Format::json, "worker \"7\"");
  const auto line = written_by([] {
    info("caf\xc3\xa9 \\ tab\t", {{"ok", "\xf0\x9f\x98\x80"}, {"broken", "a\xff\xc3(\xed\xa0\x80z"}});
  });
  boost::system::error_code failed;
  const auto value = boost::json::parse(line, failed);
  ASSERT_FALSE(failed) << line;
  const auto& event = value.as_object();
  EXPECT_EQ(event.at("level").as_string(), "info");
  EXPECT_EQ(event.at("source").as_string(), "worker \"7\"");
  EXPECT_EQ(event.at("message").as_string(), "caf\xc3\xa9 \\ tab\t");
  EXPECT_EQ(event.at("ok").as_string(), "\xf0\x9f\x98\x80");
  EXPECT_EQ(event.at("broken").as_string(),
            "a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
}

}  // namespace
}  // namespace flux::log
