#include "daemons/balancer/upstream_spec.hpp"

#include <gtest/gtest.h>

namespace flux::balancer {
namespace {

TEST(UpstreamSpec, ReadsUrlWeightAndPool) {
  EXPECT_EQ(*parse_upstream("http://127.0.0.1:8001"), (UpstreamSpec{"127.0.0.1:8001", 1, "default"}));
  EXPECT_EQ(*parse_upstream("http://h:1,weight=3,pool=blue"), (UpstreamSpec{"h:1", 3, "blue"}));
  EXPECT_EQ(*parse_upstream("http://h:1, pool=blue , weight=0"), (UpstreamSpec{"h:1", 0, "blue"}));
  EXPECT_EQ(parse_upstream("http://h/")->id, "h:80");
  EXPECT_EQ(parse_upstream("http://[::1]:81")->id, "[::1]:81");
  EXPECT_EQ(parse_upstream("http://[::1]")->id, "[::1]:80");
}

TEST(UpstreamSpec, SaysWhatIsWrong) {
  for (const auto* bad :
       {"", "https://h:1", "http://h:1/path", "http://:1", "http://h:0", "http://h:65536", "http://h:x",
        "http://h:1,weight=-1", "http://h:1,weight=10001", "http://h:1,pool=", "http://h:1,colour=blue"}) {
    const auto spec = parse_upstream(bad);
    ASSERT_FALSE(spec) << bad;
    EXPECT_EQ(spec.error().code, Errc::invalid_argument);
  }
}

TEST(UpstreamSpec, FileHasCommentsAndNamesTheBadLine) {
  const auto specs =
      parse_upstreams_file("# all\n\nhttp://a:1 # first\r\n  http://b:2,weight=2\nhttp://a:1\n", "f");
  ASSERT_TRUE(specs);
  EXPECT_EQ(*specs, (std::vector<UpstreamSpec>{{"a:1", 1, "default"}, {"b:2", 2, "default"}}));
  const auto bad = parse_upstreams_file("http://a:1\nhttp://b:x\n", "upstreams.txt");
  ASSERT_FALSE(bad);
  EXPECT_TRUE(bad.error().message.starts_with("upstreams.txt:2:")) << bad.error().message;
}

}  // namespace
}  // namespace flux::balancer
