#include "common/tracing/trace_context.hpp"

#include <gtest/gtest.h>

#include <set>

namespace flux {
namespace {

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kSpan = "b7ad6b7169203331";

struct Case {
  std::string header;
  bool valid;
  const char* why;
};

// W3C Trace Context, section 3.2 "Traceparent Header", its examples and its test suite's cases.
TEST(TraceContext, ReadsTraceparentAsTheSpecificationSays) {
  const Case cases[] = {
      {"00-" + kTrace + "-" + kSpan + "-01", true, "the specification's example, sampled"},
      {"00-" + kTrace + "-" + kSpan + "-00", true, "not sampled"},
      {"00-" + kTrace + "-" + kSpan + "-ff", true, "unknown flags are ignored"},
      {"cc-" + kTrace + "-" + kSpan + "-01", true, "a future version"},
      {"cc-" + kTrace + "-" + kSpan + "-01-what-the-future-brings", true,
       "a future version with more fields"},
      {"cc-" + kTrace + "-" + kSpan + "-01.what", false, "a future version without the dash"},
      {"ff-" + kTrace + "-" + kSpan + "-01", false, "version ff is forbidden"},
      {"00-" + kTrace + "-" + kSpan + "-01-more", false, "version 00 has no more fields"},
      {"00-" + kTrace + "-" + kSpan + "-01.", false, "surplus byte"},
      {"00-00000000000000000000000000000000-" + kSpan + "-01", false, "zero trace id"},
      {"00-" + kTrace + "-0000000000000000-01", false, "zero parent id"},
      {"00-0AF7651916CD43DD8448EB211C80319C-" + kSpan + "-01", false, "upper case"},
      {"00-" + kTrace + "-" + kSpan, false, "flags missing"},
      {"00-" + kTrace + "-" + kSpan + "-1", false, "short flags"},
      {"00-" + kTrace + "-" + kSpan + "-0x", false, "flags not hex"},
      {".0-" + kTrace + "-" + kSpan + "-01", false, "version not hex"},
      {"00_" + kTrace + "-" + kSpan + "-01", false, "wrong separator"},
      {"00-" + kTrace.substr(1) + "-" + kSpan + "-01", false, "short trace id"},
      {"", false, "empty"},
  };
  for (const auto& c : cases) EXPECT_EQ(TraceContext::parse(c.header).has_value(), c.valid) << c.why;
}

TEST(TraceContext, PrintsWhatItRead) {
  const std::string header = "00-" + kTrace + "-" + kSpan + "-01";
  EXPECT_EQ(TraceContext::parse(header)->traceparent(), header);
}

TEST(TraceContext, ChildKeepsTheTraceAndTheSamplingAndChangesTheSpan) {
  const auto parent = *TraceContext::parse("00-" + kTrace + "-" + kSpan + "-00");
  const auto child = parent.child();
  EXPECT_EQ(child.trace_id, parent.trace_id);
  EXPECT_NE(child.span_id, parent.span_id);
  EXPECT_FALSE(child.sampled);
}

TEST(TraceContext, StartsValidAndDistinctTraces) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto header = TraceContext::start().traceparent();
    EXPECT_TRUE(TraceContext::parse(header));
    EXPECT_TRUE(seen.insert(header).second);
  }
}

TEST(TraceContext, ContinuesAValidTraceAndReplacesAnInvalidOne) {
  EXPECT_NE(continue_trace("00-" + kTrace + "-" + kSpan + "-01").traceparent().find(kTrace),
            std::string::npos);
  EXPECT_EQ(continue_trace("00-" + kTrace + "-oops").traceparent().find(kTrace), std::string::npos);
}

}  // namespace
}  // namespace flux
