// Cases of Kubernetes' horizontal_test.go, from the document to the decision. There one
// container a pod requests what `requests` says (1000m otherwise) and uses its level.

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "cli/autoscale/decision_document.hpp"

namespace flux::autoscale {
namespace {

namespace json = boost::json;

struct Case {
  const char* name;
  std::int64_t min, max, current, expected;
  const char* target;  // of the metric
  std::vector<int> levels;
  const char* more = "{}";  // fields that replace those of the document
  std::vector<int> requests{};
  std::vector<int> unready{};  // indices of pods
};

json::object document_of(const Case& c, const char* type, const char* metric) {
  json::array pods;
  for (std::int64_t i = 0; i < c.current; ++i) {
    const auto at = static_cast<std::size_t>(i);
    json::object pod{{"name", std::to_string(i)},
                     {"request_milli", at < c.requests.size() ? c.requests[at] : 1000}};
    if (std::ranges::find(c.unready, static_cast<int>(i)) != c.unready.end()) pod["ready"] = false;
    pods.push_back(std::move(pod));
  }
  json::object samples;
  for (std::size_t i = 0; i < c.levels.size(); ++i) samples[std::to_string(i)] = c.levels[i];
  json::object one{{"type", type}, {"name", metric}, {"target", json::parse(c.target)}};
  if (std::string_view(type) == "object" || std::string_view(type) == "external")
    one["value"] = c.levels.front();
  else
    one["samples"] = std::move(samples);
  json::object document{{"current", c.current}, {"min", c.min}, {"max", c.max}, {"pods", std::move(pods)}};
  document["metrics"] = json::array{std::move(one)};
  document["history"] = json::array{};  // their cases begin with a list of recommendations that is empty
  const json::value more = json::parse(c.more);
  for (const auto& member : more.get_object()) {
    if (member.value().is_null())
      document.erase(member.key());
    else
      document[member.key()] = member.value();
  }
  return document;
}

void check(const std::vector<Case>& cases, const char* type, const char* metric) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto input = parse_decision_input(json::serialize(document_of(c, type, metric)));
    ASSERT_TRUE(input) << input.error().one_line();
    const Decision d = decide(*input);
    EXPECT_EQ(d.desired, c.expected) << d.reason;
  }
}

TEST(Horizontal, ScalesByCpu) {
  check(
      {
          {"TestScaleUp", 2, 6, 3, 5, R"({"averageUtilization":30})", {300, 500, 700}},
          {"TestScaleUpUnreadyLessScale",
           2,
           6,
           3,
           4,
           R"({"averageUtilization":30})",
           {300, 500, 700},
           "{}",
           {},
           {0}},
          {"TestScaleUpUnreadyNoScale",
           2,
           6,
           3,
           3,
           R"({"averageUtilization":30})",
           {400, 500, 700},
           "{}",
           {},
           {1, 2}},
          {"TestScaleDown", 2, 6, 5, 3, R"({"averageUtilization":50})", {100, 300, 500, 250, 250}},
          {"TestScaleDownStabilizeInitialSize",
           2,
           6,
           5,
           5,
           R"({"averageUtilization":50})",
           {100, 300, 500, 250, 250},
           R"({"history":null})"},
          {"TestScaleDownIgnoresUnreadyPods",
           2,
           6,
           5,
           2,
           R"({"averageUtilization":50})",
           {100, 300, 500, 250, 250},
           "{}",
           {},
           {3, 4}},
          {"TestTolerance",
           1,
           5,
           3,
           3,
           R"({"averageUtilization":100})",
           {1010, 1030, 1020},
           "{}",
           {900, 1000, 1100}},
          {"TestMinReplicas",
           2,
           5,
           3,
           2,
           R"({"averageUtilization":90})",
           {10, 95, 10},
           "{}",
           {900, 1000, 1100}},
          {"TestMinReplicasDesiredZero", 2, 5, 3, 2, R"({"averageUtilization":90})", {0, 0, 0}},
          {"TestZeroMinReplicasDesiredZero", 0, 5, 3, 0, R"({"averageUtilization":90})", {0, 0, 0}},
          {"TestZeroReplicas", 3, 5, 0, 0, R"({"averageUtilization":90})", {}},
          {"TestTooFewReplicas", 3, 5, 2, 3, R"({"averageUtilization":90})", {}},
          {"TestTooManyReplicas", 3, 5, 10, 5, R"({"averageUtilization":90})", {}},
          {"TestMaxReplicas",
           2,
           5,
           3,
           5,
           R"({"averageUtilization":90})",
           {8000, 9500, 1000},
           "{}",
           {900, 1000, 1100}},
          {"TestSuperfluousMetrics",
           2,
           6,
           4,
           6,
           R"({"averageUtilization":100})",
           {4000, 9500, 3000, 7000, 3200, 2000}},
          {"TestMissingMetrics", 2, 6, 4, 3, R"({"averageUtilization":100})", {400, 95}},
          {"TestEmptyMetrics", 2, 6, 4, 4, R"({"averageUtilization":100})", {}},
          {"TestUpscaleCap",
           1,
           100,
           3,
           6,
           R"({"averageUtilization":10})",
           {100, 200, 300},
           "{}",
           {100, 100, 100}},
          {"TestEventCreated", 1, 5, 1, 2, R"({"averageUtilization":50})", {200}, "{}", {200}},
          {"TestEventNotCreated", 1, 5, 2, 2, R"({"averageUtilization":50})", {200, 200}, "{}", {400, 400}},
      },
      "resource", "cpu");
}

TEST(Horizontal, ScalesByPodMetrics) {
  check(
      {
          {"TestScaleUpCM", 2, 6, 3, 4, R"({"averageValue":15000})", {20000, 10000, 30000}},
          {"TestScaleUpCMUnreadyAndHotCpuNoLessScale",
           2,
           6,
           3,
           6,
           R"({"averageValue":15000})",
           {50000, 10000, 30000},
           "{}",
           {},
           {0}},
          {"TestScaleDownCM", 2, 6, 5, 3, R"({"averageValue":20000})", {12000, 12000, 12000, 12000, 12000}},
          {"TestToleranceCM", 1, 5, 3, 3, R"({"averageValue":20000})", {20000, 20001, 21000}},
      },
      "pods", "qps");
}

TEST(Horizontal, ScalesByObjectAndExternalMetrics) {
  const std::vector<Case> cases{
      {"TestScaleUpCMObject", 2, 6, 3, 4, R"({"value":15000})", {20000}},
      {"TestScaleUpFromZeroCMObject", 0, 6, 0, 2, R"({"value":15000})", {20000}},
      {"TestScaleUpFromZeroIgnoresToleranceCMObject", 0, 6, 0, 1, R"({"value":1000})", {1000}},
      {"TestScaleUpPerPodCMObject", 2, 6, 3, 4, R"({"averageValue":10000})", {40000}},
      {"TestScaleDownCMObject", 2, 6, 5, 3, R"({"value":20000})", {12000}},
      {"TestScaleDownToZeroCMObject", 0, 6, 5, 0, R"({"value":20000})", {0}},
      {"TestScaleDownPerPodCMObject", 2, 6, 5, 3, R"({"averageValue":20000})", {60000}},
      {"TestToleranceCMObject", 2, 6, 3, 3, R"({"value":20000})", {20050}},
      {"TestScaleUpCMExternal", 2, 6, 3, 4, R"({"value":6666})", {8600}},
      {"TestScaleUpPerPodCMExternal", 2, 6, 3, 4, R"({"averageValue":2222})", {8600}},
      {"TestScaleDownCMExternal", 2, 6, 5, 3, R"({"value":14400})", {8600}},
      {"TestScaleDownPerPodCMExternal", 2, 6, 5, 3, R"({"averageValue":3000})", {8600}},
      {"TestToleranceCMExternal", 2, 6, 4, 4, R"({"value":8666})", {8600}},
      {"TestTolerancePerPodCMExternal", 2, 6, 4, 4, R"({"averageValue":2200})", {8600}},
  };
  check(cases, "object", "requests");
  check(cases, "external", "queue");
}

}  // namespace
}  // namespace flux::autoscale
