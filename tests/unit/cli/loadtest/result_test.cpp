#include "cli/loadtest/result.hpp"

#include <gmock/gmock.h>

#include <boost/json.hpp>

namespace flux::loadtest {
namespace {

RunResult full_result() {
  RunResult r;
  r.target = "http://127.0.0.1:8080";
  r.scenario = "orders";
  r.started_at = "2026-01-02T03:04:05Z";
  r.seed = 7;
  r.users = 100;
  r.duration_s = 2;
  r.requests = 4;
  r.rps = 2;
  r.latency.service = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  r.latency.response = {1, 2, 3, 4, 5, 6, 7, 8, 10};
  r.errors = 1;
  r.errors_by_kind = errors_by_kind(ErrorCounts{3, 0, 0, 1, 0, 0, 0, 0});
  r.statuses = {{202, 3}};
  r.by_name.push_back({"create_order", {{"kind", "write"}}, 4, 2, r.latency, 1, r.errors_by_kind});
  r.timeline.push_back({1, 100, 2, 3, 6, 7, 3, 6, 7, 1});
  r.thresholds.push_back({"p95<200ms", 6, true});
  r.generator.verdict = Verdict::generator_bound;
  r.generator.reasons = {"because"};
  r.rate = RateReport{100, 90, 10, false};
  r.watch.first_saturated = "pool";
  r.watch.series.push_back({"lag", "kafka", "messages", {{1, 5}, {2, 6}}});
  r.response_distribution = {{50, 3}, {100, 10}};
  return r;
}

TEST(ResultJson, HasEveryFieldOfTheContract) {
  const auto root = boost::json::parse(to_json(full_result()));
  EXPECT_EQ(root.at("schema"), "flux.loadtest/1");
  for (const char* key :
       {"target", "users", "duration_s", "requests", "rps", "bytes_in", "bytes_out", "latency_ms", "errors",
        "status", "by_name", "timeline", "thresholds", "generator", "watch"})
    EXPECT_TRUE(root.as_object().contains(key)) << key;
  for (const char* which : {"service", "response"})
    for (const char* key : {"min", "mean", "p50", "p75", "p90", "p95", "p99", "p99_9", "max"})
      EXPECT_TRUE(root.at("latency_ms").at(which).at(key).is_number()) << which << " " << key;
  for (const char* key : {"connect", "reset", "timeout", "status_4xx", "status_5xx", "protocol", "check"})
    EXPECT_TRUE(root.at("errors").at("by_kind").at(key).is_number()) << key;
  EXPECT_EQ(root.at("errors").at("total"), 1);
  EXPECT_EQ(root.at("errors").at("rate"), 0.25);
  EXPECT_EQ(root.at("status").at("202"), 3);
  for (const char* key : {"name", "requests", "rps", "latency_ms", "errors"})
    EXPECT_TRUE(root.at("by_name").at(0).as_object().contains(key)) << key;
  for (const char* key : {"t_s", "users", "rps", "p50", "p95", "p99", "errors"})
    EXPECT_TRUE(root.at("timeline").at(0).as_object().contains(key)) << key;
  for (const char* key : {"expr", "value", "ok"})
    EXPECT_TRUE(root.at("thresholds").at(0).as_object().contains(key)) << key;
  EXPECT_EQ(root.at("generator").at("verdict"), "generator_bound");
  for (const char* key : {"cpu_percent", "max_send_lag_ms", "reasons"})
    EXPECT_TRUE(root.at("generator").as_object().contains(key)) << key;
  EXPECT_EQ(root.at("watch").at("first_saturated"), "pool");
  EXPECT_TRUE(root.at("watch").at("series").is_array());
}

TEST(ResultJson, ReadsBackWhatItWrote) {
  const std::string text = to_json(full_result());
  const auto again = parse_result(text, "run.json");
  ASSERT_TRUE(again);
  EXPECT_EQ(to_json(*again), text);
}

TEST(ResultJson, RefusesOtherDocuments) {
  for (const char* text : {"", "{}", "[]", "{\"schema\":\"other/1\"}", "not json"}) {
    const auto result = parse_result(text, "x.json");
    ASSERT_FALSE(result) << text;
    EXPECT_THAT(result.error().message, testing::HasSubstr("x.json is not a result of flux loadtest"));
  }
}

TEST(Result, TheDistributionRisesToTheMaximum) {
  LatencyHistogram histogram;
  for (int i = 1; i <= 10'000; ++i) histogram.record(i * 1000LL);
  const auto points = distribution(histogram);
  ASSERT_GT(points.size(), 20U);
  EXPECT_TRUE(std::is_sorted(points.begin(), points.end()));
  EXPECT_EQ(points.back(), (std::pair<double, double>{100, 10}));
}

TEST(Result, TheTimelineIsACsvWithOneLinePerSecond) {
  EXPECT_EQ(to_csv(full_result()),
            "t_s,users,rps,p50_ms,p95_ms,p99_ms,service_p50_ms,service_p95_ms,service_p99_ms,errors\n"
            "1.000,100,2.0,3.000,6.000,7.000,3.000,6.000,7.000,1\n");
}

}  // namespace
}  // namespace flux::loadtest
