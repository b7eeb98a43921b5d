#include "cli/autoscale/decision_document.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

namespace flux::autoscale {
namespace {

// The appendix of the contract, with its placeholders filled in.
constexpr const char* kWhole = R"({ "current": 3, "min": 1, "max": 100,
  "tolerance": {"up": 0.1, "down": 0.1},
  "pods": [ {"name": "a", "phase": "Running", "ready": true, "deleted": false,
             "request_milli": 2000, "age_s": 900, "ready_since_s": 880},
            {"name": "b", "request_milli": 2000}, {"name": "c", "request_milli": 2000, "age_s": 40} ],
  "metrics": [
    {"type": "resource", "name": "cpu", "target": {"averageUtilization": 30}, "samples": {"a": 600, "b": 1000}, "sample_age_s": 15},
    {"type": "pods",     "name": "qps", "target": {"averageValue": 15000, "tolerance": {"up": 0.5}}, "samples": {"a": 20000}},
    {"type": "object",   "name": "o",   "target": {"value": 15000}, "value": 20000},
    {"type": "external", "name": "e",   "target": {"averageValue": 2150},  "value": 8600},
    {"type": "external", "name": "gone", "unavailable": true} ],
  "behavior": {"scaleUp":   {"stabilizationWindowSeconds": 0,   "selectPolicy": "Min", "policies": [{"type": "Percent", "value": 4, "periodSeconds": 15}]},
               "scaleDown": {"stabilizationWindowSeconds": 200}},
  "history": [ {"age_s": 20, "recommendation": 5} ],
  "events":  [ {"age_s": 30, "change": -15} ] })";

TEST(DecisionDocument, ReadsEveryFieldOfTheContract) {
  const auto input = parse_decision_input(kWhole);
  ASSERT_TRUE(input) << input.error().one_line();
  EXPECT_EQ(input->current, 3);
  EXPECT_EQ(input->max, 100);
  ASSERT_EQ(input->pods->size(), 3U);
  EXPECT_EQ((*input->pods)[0].ready_since_s, 880);
  EXPECT_EQ((*input->pods)[1].age_s, kLongAgo);
  EXPECT_EQ((*input->pods)[2].ready_since_s, 40) << "readiness never changed since the start";
  EXPECT_EQ(input->metrics[0].target_kind, TargetKind::average_utilization);
  EXPECT_EQ(input->metrics[0].sample_age_s, 15);
  EXPECT_EQ(input->metrics[1].tolerance->up, 0.5);
  EXPECT_EQ(input->metrics[1].tolerance->down, 0.1);
  EXPECT_EQ(input->metrics[2].value, 20000);
  EXPECT_EQ(input->metrics[3].target, 2150);
  EXPECT_TRUE(input->metrics[4].unavailable);
  EXPECT_EQ(input->behavior->up.select, SelectPolicy::min);
  EXPECT_EQ(input->behavior->up.policies.size(), 1U);
  EXPECT_EQ(input->behavior->down.window_s, 200);
  EXPECT_EQ(input->behavior->down.policies.size(), 1U) << "what is not given keeps its default";
  EXPECT_EQ(input->history->front().replicas, 5);
  EXPECT_EQ(input->events.front().change, -15);
}

TEST(DecisionDocument, TakesFractionsToThousandths) {
  const auto input = parse_decision_input(
      R"({"current":2,"metrics":[{"type":"pods","name":"qps","target":{"averageValue":1.5},"samples":{"a":2.25,"b":3}}]})");
  ASSERT_TRUE(input) << input.error().one_line();
  EXPECT_EQ(input->metrics[0].target, 1500);
  EXPECT_EQ(input->metrics[0].samples.at("a"), 2250);
  EXPECT_EQ(decide(*input).desired, 4);
}

TEST(DecisionDocument, NamesTheFieldThatIsWrong) {
  const std::pair<const char*, const char*> cases[]{
      {"", "the input is not one JSON document"},
      {"[]", "the input must be a JSON object"},
      {R"({"metrics":[]})", "current is missing"},
      {R"({"current":3})", "metrics is missing"},
      {R"({"current":3,"metrics":[]})", "metrics must have at least one metric"},
      {R"({"current":-1,"metrics":[]})", "current must be a number from 0 to 2147483647"},
      {R"({"current":1.5,"metrics":[]})", "current must be a whole number"},
      {R"({"current":3,"min":5,"max":4,"metrics":[]})", "max must not be below min"},
      {R"({"current":3,"metrics":[{"type":"cpu","name":"a"}]})",
       "metrics[0].type must be one of resource, pods, object, external"},
      {R"({"current":3,"metrics":[{"type":"pods","target":{"averageValue":1},"samples":{}}]})",
       "metrics[0].name is missing"},
      {R"({"current":3,"metrics":[{"type":"pods","name":"a","target":{"value":1},"samples":{}}]})",
       "metrics[0].target.value is for metrics of type object or external"},
      {R"({"current":3,"metrics":[{"type":"pods","name":"a","target":{},"samples":{}}]})",
       "metrics[0].target.averageValue is missing"},
      {R"({"current":3,"metrics":[{"type":"external","name":"a","target":{"value":0},"value":1}]})",
       "metrics[0].target.value must be above 0"},
      {R"({"current":3,"metrics":[{"type":"external","name":"a","target":{"value":1}}]})",
       "metrics[0].value is missing"},
      {R"({"current":3,"metrics":[{"type":"pods","name":"a","target":{"averageValue":1}}]})",
       "metrics[0].samples is missing"},
      {R"({"current":3,"metrics":[{"type":"pods","name":"a","target":{"averageValue":1},"samples":{"x":"1"}}]})",
       "metrics[0].samples must hold numbers from 0 to 1000000000000; that of 'x' is not"},
      {R"({"current":3,"metrics":[{"type":"pods","name":"a","target":{"averageValue":1},"sample":{}}]})",
       "metrics[0].samples is missing"},
      {R"({"current":3,"metrics":[{"type":"external","name":"a","unavailable":true,"extra":1}]})",
       "unknown field 'metrics[0].extra'"},
      {R"({"current":3,"pods":[{"name":"a","phase":"Lost"}],"metrics":[]})",
       "pods[0].phase must be one of Running, Pending, Failed"},
      {R"({"current":3,"pods":[{"name":"a"},{"name":"a"}],"metrics":[]})",
       "pods[1].name 'a' is given to two pods"},
      {R"({"current":3,"pods":{},"metrics":[]})", "pods must be a list"},
      {R"({"current":3,"pods":[1],"metrics":[]})", "pods[0] must be a JSON object"},
      {R"({"current":3,"metrics":[{"type":"external","name":"a","unavailable":true}],"behavior":{"scaleUp":{"policies":[]}}})",
       "behavior.scaleUp.policies must have at least one policy"},
      {R"({"current":3,"metrics":[{"type":"external","name":"a","unavailable":true}],"behavior":{"scaleUp":{"policies":[{"type":"Pods","value":0,"periodSeconds":15}]}}})",
       "behavior.scaleUp.policies[0].value must be a number from 1 to 2147483647"},
      {R"({"current":3,"metrics":[{"type":"external","name":"a","unavailable":true}],"history":[{"age_s":-1,"recommendation":1}]})",
       "history[0].age_s must be a number from 0 to 10000000000"},
      {R"({"current":3,"metrics":[{"type":"external","name":"a","unavailable":true}],"tolerance":{"upp":1}})",
       "unknown field 'tolerance.upp'"},
  };
  for (const auto& [document, expected] : cases) {
    SCOPED_TRACE(document);
    const auto input = parse_decision_input(document);
    ASSERT_FALSE(input);
    EXPECT_EQ(input.error().code, Errc::invalid_argument);
    EXPECT_EQ(input.error().message.substr(0, std::string_view(expected).size()), expected);
  }
}

// Whatever the bytes: an error that names something, or a decision within int32.
TEST(DecisionDocument, SurvivesDamagedDocuments) {
  std::mt19937 random(5);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const std::string_view pieces[]{"-1",   "1e308", "1e-308", "0",    "999999999999", "\"Pending\"",
                                  "null", "[]",    "{}",     "true", "\x80",         "\""};
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = kWhole;
    for (std::size_t n = 1 + below(3); n > 0; --n) {
      const std::size_t at = below(text.size());
      if (below(2) == 0)
        text.replace(at, 1 + below(4), pieces[below(std::size(pieces))]);
      else if (const auto digit = text.find_first_of("0123456789", at); digit != std::string::npos)
        text.replace(digit, 1, pieces[below(5)]);
    }
    const auto input = parse_decision_input(text);
    if (!input) {
      ASSERT_FALSE(input.error().message.empty());
      continue;
    }
    ++accepted;
    const Decision d = decide(*input);
    ASSERT_GE(d.desired, 0) << text;
    ASSERT_LE(d.desired, std::numeric_limits<std::int32_t>::max()) << text;
    ASSERT_FALSE(to_json(d).empty());
  }
  EXPECT_GT(accepted, 100);
}

TEST(DecisionDocument, WritesTheShapeOfTheContract) {
  const auto input = parse_decision_input(
      R"({"current":3,"metrics":[{"type":"external","name":"e","target":{"averageValue":2150},"value":8600},
                                 {"type":"pods","name":"q","unavailable":true}],"max":3})");
  ASSERT_TRUE(input) << input.error().one_line();
  const auto out = boost::json::parse(to_json(decide(*input))).as_object();
  EXPECT_EQ(out.at("current"), 3);
  EXPECT_EQ(out.at("desired"), 3);
  EXPECT_EQ(out.at("limited_by"), "max");
  EXPECT_EQ(out.at("per_metric").at(0).at("metric"), "e");
  EXPECT_EQ(out.at("per_metric").at(0).at("desired"), 4);
  EXPECT_NEAR(out.at("per_metric").at(0).at("ratio").as_double(), 4.0 / 3, 1e-12);
  EXPECT_TRUE(out.at("per_metric").at(1).at("desired").is_null());
  EXPECT_EQ(out.at("per_metric").at(1).at("error"), "unavailable");
}

}  // namespace
}  // namespace flux::autoscale
