#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "common/http/access_tokens.hpp"
#include "common/http/entity_tag.hpp"
#include "common/http/problem.hpp"
#include "common/http/request_id.hpp"
#include "common/http/url_path.hpp"

namespace flux {
namespace {

using Parts = std::vector<std::string>;

TEST(UrlPath, MatchesSegmentsAndDecodesTheFreeOnes) {
  struct Case {
    const char* pattern;
    const char* path;
    std::optional<Parts> expected;
  };
  const Case cases[] = {
      {"/v1/orders", "/v1/orders", Parts{}},
      {"/v1/orders", "/v1/orders/", std::nullopt},
      {"/v1/orders", "/v1/order", std::nullopt},
      {"/v1/orders", "/v1/orders/x", std::nullopt},
      {"/v1/orders/{id}", "/v1/orders/x", Parts{"x"}},
      {"/v1/orders/{id}", "/v1/orders/", std::nullopt},
      {"/v1/orders/{id}", "/v1/orders", std::nullopt},
      {"/v1/orders/{id}", "/v1/orders/a%2Fb", Parts{"a/b"}},
      {"/v1/orders/{id}", "/v1/orders/%2e%2e", Parts{".."}},
      {"/v1/orders/{id}", "/v1/orders/%zz", Parts{"%zz"}},
      {"/v1/orders/{id}", "/v1/orders/../products", std::nullopt},
      {"/v1/workflows/{id}/trigger", "/v1/workflows/7/trigger", Parts{"7"}},
      {"/v1/workflows/{id}/trigger", "/v1/workflows/7/trigger/x", std::nullopt},
      {"/v1/orders", "v1/orders", std::nullopt},
      {"/v1/orders", "", std::nullopt},
      {"/v1/orders", "//v1/orders", std::nullopt},
  };
  for (const auto& c : cases) EXPECT_EQ(match_path(c.pattern, c.path), c.expected) << c.path;
}

TEST(UrlPath, DecodesPercentEscapesAndRefusesBrokenOnes) {
  EXPECT_EQ(*percent_decode("a%20b%41%7e"), "a bA~");
  for (const char* bad : {"%", "%4", "%4g", "a%", "%%41"}) EXPECT_FALSE(percent_decode(bad)) << bad;
}

TEST(UrlPath, ReadsQueries) {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(*parse_query("status=queued&limit=5&x&y=&z=a+b%26"),
            (Pairs{{"status", "queued"}, {"limit", "5"}, {"x", ""}, {"y", ""}, {"z", "a b&"}}));
  EXPECT_EQ(*parse_query(""), Pairs{});
  EXPECT_FALSE(parse_query("a=%g1"));
}

// RFC 9110, section 8.8.3.2, the table of comparisons.
TEST(EntityTag, ComparesAsTheRfcSays) {
  struct Case {
    const char* header;
    const char* tag;
    bool weak, strong;
  };
  const Case cases[] = {
      {"W/\"1\"", "\"1\"", true, false},
      {"\"1\"", "\"1\"", true, true},
      {"W/\"2\"", "\"1\"", false, false},
      {"*", "\"1\"", true, true},
      {"\"0\", W/\"x\" ,\"1\"", "\"1\"", true, true},
      {"\"a,b\"", "\"a,b\"", true, true},
      {"", "\"1\"", false, false},
      {"1", "\"1\"", false, false},
      {"\"1", "\"1\"", false, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(any_tag_matches(c.header, c.tag), c.weak) << c.header;
    EXPECT_EQ(any_tag_matches_strongly(c.header, c.tag), c.strong) << c.header;
  }
  EXPECT_NE(entity_tag_of("a"), entity_tag_of("b"));
}

TEST(Problem, IsAnRfc9457Document) {
  const auto document = boost::json::parse(to_json({409, "sold \"out\"", "sold_out", "", "r-1"}));
  EXPECT_EQ(document, (boost::json::value{{"type", "about:blank"},
                                          {"title", "Conflict"},
                                          {"status", 409},
                                          {"detail", "sold \"out\""},
                                          {"code", "sold_out"},
                                          {"instance", "r-1"}}));
}

TEST(Problem, TellsClientsNothingAboutTheInside) {
  for (const auto code : {Errc::unavailable, Errc::internal, Errc::corrupted, Errc::timed_out}) {
    const auto text = to_json(problem_of({code, "cannot reach redis://10.0.0.7", "look at /var/lib"}));
    EXPECT_EQ(text.find("10.0.0.7"), std::string::npos) << text;
    EXPECT_EQ(text.find("/var"), std::string::npos) << text;
  }
}

TEST(RequestId, KeepsHarmlessOnesAndReplacesOthers) {
  EXPECT_EQ(request_id_of("abc-123"), "abc-123");
  for (const std::string& bad : {std::string(""), std::string(129, 'a'), std::string("a b"),
                                 std::string("a\x1b[2J"), std::string("a\"b"), std::string("\xc3\xa9")})
    EXPECT_EQ(request_id_of(bad).size(), 36u);
}

// SHA-256 of "abc": FIPS 180-2, appendix B.1.
TEST(AccessTokens, FindsTheTokenByItsHash) {
  const auto token = make_access_token(
      "shop", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", {"read", "order"});
  ASSERT_TRUE(token);
  const AccessTokens tokens({*token});
  ASSERT_NE(tokens.find("Bearer abc"), nullptr);
  EXPECT_NE(tokens.find("bearer  abc"), nullptr);
  for (const char* bad : {"", "abc", "Basic abc", "Bearer", "Bearer ", "Bearer abcd", "Bearer abc "})
    EXPECT_EQ(tokens.find(bad), nullptr) << bad;
  const auto* found = tokens.find("Bearer abc");
  EXPECT_TRUE(found->may(Scope::read) && found->may(Scope::order));
  EXPECT_FALSE(found->may(Scope::admin));
  EXPECT_FALSE(make_access_token("x", "abc", {}));
  EXPECT_FALSE(make_access_token("x", std::string(64, 'a'), {"root"}));
}

}  // namespace
}  // namespace flux
