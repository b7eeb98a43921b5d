#include "cli/loadtest/text_template.hpp"

#include <gmock/gmock.h>

#include <set>

#include "cli/loadtest/request_text.hpp"

namespace flux::loadtest {
namespace {

class TextTemplateTest : public testing::Test {
 protected:
  std::string render(const std::string& text) {
    const auto parsed = parse_template(text, {"region", "order_id"});
    EXPECT_TRUE(parsed);
    std::string out;
    append(out, *parsed, values());
    return out;
  }
  TemplateValues values() { return {random_, sequence_, 2, 42, variables_}; }

  Random random_{1};
  std::uint64_t sequence_ = 7;
  std::string variables_[2] = {"eu", "o-1"};
};

TEST_F(TextTemplateTest, FillsInEveryKindOfValue) {
  EXPECT_EQ(render("plain { text }"), "plain { text }");
  EXPECT_EQ(render("/{{region}}/{{ order_id }}"), "/eu/o-1");
  EXPECT_EQ(render("{{user}}"), "000042");
  EXPECT_EQ(render("{{seq}},{{seq}}"), "7,9");
  EXPECT_THAT(render("{{rand 1 6}}"), testing::AnyOf("1", "2", "3", "4", "5", "6"));
  EXPECT_EQ(render("{{rand -5 -5}}"), "-5");
}

TEST_F(TextTemplateTest, UuidsAreVersionFourAndNeverRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 10'000; ++i) {
    const std::string uuid = render("{{uuid}}");
    ASSERT_EQ(uuid.size(), 36U);
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
    seen.insert(uuid);
  }
  EXPECT_EQ(seen.size(), 10'000U);
}

TEST_F(TextTemplateTest, MistakesAreNamedWithWhatIsKnown) {
  const std::pair<const char*, const char*> bad[] = {{"{{nobody}}", "unknown variable {{nobody}}"},
                                                     {"{{rand 6 1}}", "two whole numbers in order"},
                                                     {"{{rand a b}}", "two whole numbers in order"},
                                                     {"{{uuid", "'{{' without '}}'"},
                                                     {"{{}}", "unknown variable"}};
  for (const auto& [text, message] : bad) {
    const auto parsed = parse_template(text, {"region"});
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, testing::HasSubstr(message));
  }
  EXPECT_THAT(parse_template("{{x}}", {"region"}).error().hint, testing::HasSubstr("region"));
}

TEST_F(TextTemplateTest, RandomNumbersAreUniform) {
  Random random{99};
  int counts[6] = {};
  for (int i = 0; i < 60'000; ++i) ++counts[random.between(1, 6) - 1];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
}

// The same bytes whether values are patched in place or the text is put together anew.
TEST_F(TextTemplateTest, RequestsPatchedInPlaceEqualRequestsBuiltAnew) {
  const auto step_with = [&](const std::string& body) {
    Step step;
    step.method = "POST";
    step.path = *parse_template("/v1/orders", {});
    step.headers.emplace_back("Idempotency-Key", *parse_template("{{uuid}}", {}));
    step.body = *parse_template(body, {"region"});
    return step;
  };
  RequestText patched(step_with("{\"n\":{{rand 10 99}},\"r\":\"eu\"}"), "shop:80", true);
  RequestText built(step_with("{\"n\":{{rand 10 99}},\"r\":\"{{region}}\"}"), "shop:80", true);
  for (int i = 0; i < 100; ++i) {
    Random one{static_cast<std::uint64_t>(i)};
    Random two{static_cast<std::uint64_t>(i)};
    const std::string a(patched.render({one, sequence_, 1, 1, variables_}));
    const std::string b(built.render({two, sequence_, 1, 1, variables_}));
    ASSERT_EQ(a, b);
    EXPECT_THAT(a, testing::HasSubstr("Host: shop:80\r\n"));
    EXPECT_THAT(a, testing::HasSubstr("Content-Length: 17\r\n\r\n{\"n\":"));
  }
}

TEST_F(TextTemplateTest, RequestsSayWhatTheyMust) {
  Step get;
  get.path = *parse_template("/a", {});
  EXPECT_EQ(RequestText(get, "h", true).render(values()), "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(RequestText(get, "h", false).render(values()),
            "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  Step empty_post;
  empty_post.method = "POST";
  empty_post.path = *parse_template("/a", {});
  empty_post.headers.emplace_back("host", *parse_template("other", {}));
  EXPECT_EQ(RequestText(empty_post, "h", true).render(values()),
            "POST /a HTTP/1.1\r\nhost: other\r\nContent-Length: 0\r\n\r\n");
}

}  // namespace
}  // namespace flux::loadtest
