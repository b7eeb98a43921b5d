#include <gmock/gmock.h>

#include "cli/loadtest/result.hpp"

namespace flux::loadtest {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kBeforeResult = R"(<script type="application/json" id="result">)";

// The text of the result's element as the HTML standard ends it ("script data state"): at
// the first "</script", whatever is around it.
std::string result_element(const std::string& page) {
  const auto from = page.find(kBeforeResult) + kBeforeResult.size();
  return page.substr(from, page.find("</script", from) - from);
}

TEST(ReportPage, NamesCannotBreakOutOfTheResult) {
  for (const char* hostile :
       {"</script><script>alert(1)</script>", "<!--<script>", "]]>", "</SCRIPT >", "a & b &lt; \" ' \\",
        "{{script}} {{uuid}} {{", "\xe2\x80\xa8 line separator", "}}"}) {
    RunResult r;
    r.scenario = r.target = r.first_error = hostile;
    r.by_name.push_back({hostile, {{hostile, hostile}}, 1, 1, {}, 0, {}});
    r.watch.series.push_back({hostile, hostile, hostile, {{1, 2}}});
    const std::string text = result_element(to_html(r));
    EXPECT_THAT(text, Not(testing::AnyOf(HasSubstr("<"), HasSubstr(">")))) << hostile;
    const auto back = parse_result(text, "the page");
    ASSERT_TRUE(back.has_value()) << hostile;
    EXPECT_EQ(back->scenario, hostile);
    EXPECT_EQ(back->by_name.at(0).name, hostile);
    EXPECT_EQ(back->watch.series.at(0).name, hostile);
  }
}

TEST(ReportPage, TitleIsText) {
  RunResult r;
  r.scenario = "</title><b>&";
  EXPECT_THAT(to_html(r), HasSubstr("<title>&lt;/title&gt;&lt;b&gt;&amp; · "));
}

TEST(ReportPage, CarriesEverythingItNeeds) {
  const std::string page = to_html({});
  EXPECT_THAT(page, HasSubstr("Leon Sorokin"));  // the chart library's licence goes with it
  EXPECT_THAT(page, HasSubstr("var uPlot="));
  for (const char* fetched : {"src=", "<link", "@import", "url("}) EXPECT_THAT(page, Not(HasSubstr(fetched)));
  for (const char* part : {"{{title}}", "{{style}}", "{{script}}", "{{result}}", "{{uplot}}"})
    EXPECT_THAT(page, Not(HasSubstr(part)));
}

}  // namespace
}  // namespace flux::loadtest
