#include "cli/loadtest/threshold.hpp"

#include <gmock/gmock.h>

namespace flux::loadtest {
namespace {

const std::vector<RequestName> kNames{{"create_order", {{"kind", "write"}}},
                                      {"get_order", {{"kind", "read"}}}};

// 100 orders of 1..100 ms (response) and half of that (service), 4 failed; 300 reads of 10 ms.
Measurement measured() {
  Recorder recorder(kNames.size());
  for (int i = 1; i <= 100; ++i) {
    Outcome outcome;
    outcome.status = i <= 4 ? 500 : 202;
    outcome.error = i <= 4 ? ErrorKind::status_5xx : ErrorKind::none;
    outcome.response_ns = i * 1'000'000LL;
    outcome.service_ns = i * 500'000LL;
    outcome.checks_passed = 1;
    recorder.record(0, outcome);
  }
  for (int i = 0; i < 300; ++i) {
    Outcome outcome;
    outcome.status = 200;
    outcome.response_ns = outcome.service_ns = 10'000'000;
    outcome.checks_failed = i < 100 ? 1 : 0;
    recorder.record(1, outcome);
  }
  Measurement measurement(kNames, 1);
  measurement.add(recorder.take());
  return measurement;
}

TEST(Threshold, MeasuresWhatItNames) {
  const Measurement m = measured();
  const std::tuple<const char*, double, bool> cases[] = {{"p95{name:create_order}<200ms", 95, true},
                                                         {"p95<90ms{name:create_order}", 95, false},
                                                         {"p(99.5){name:create_order}<=100ms", 100, true},
                                                         {"p50<11", 10, true},
                                                         {"service.p95{name:create_order}<48ms", 47.5, true},
                                                         {"max<2s", 100, true},
                                                         {"min{kind:write}>=1ms", 1, true},
                                                         {"mean{kind:write}<51ms", 50.5, true},
                                                         {"error_rate<1%", 0.01, false},
                                                         {"error_rate<=1%", 0.01, true},
                                                         {"error_rate{kind:read}<0.1%", 0, true},
                                                         {"errors<5", 4, true},
                                                         {"rps>39", 40, true},
                                                         {"requests>=400", 400, true},
                                                         {"checks>99%", 0.5, false},
                                                         {"checks{name:create_order} > 99%", 1, true}};
  for (const auto& [text, value, ok] : cases) {
    const auto thresholds = parse_thresholds({text}, kNames);
    ASSERT_TRUE(thresholds) << text << ": " << thresholds.error().message;
    const ThresholdResult result = evaluate((*thresholds)[0], m, 10);
    EXPECT_NEAR(result.value, value, value * 0.001 + 1e-9) << text;
    EXPECT_EQ(result.ok, ok) << text;
    EXPECT_EQ(result.expression, text);
  }
}

TEST(Threshold, AbortIsReadFromTheEnd) {
  EXPECT_TRUE(parse_threshold("error_rate<0.1%,abort")->aborts);
  EXPECT_TRUE(parse_threshold("p95{name:a}<1s , abort")->aborts);
  EXPECT_FALSE(parse_threshold("p95<1s")->aborts);
}

TEST(Threshold, NothingMeasuredMeetsNoLatencyLimit) {
  const Measurement empty(kNames, 1);
  EXPECT_FALSE(evaluate(*parse_threshold("p95<1s"), empty, 1).ok);
  EXPECT_FALSE(evaluate(*parse_threshold("error_rate<1%"), empty, 1).ok);
}

TEST(Threshold, MistakesAndImpossibleLimitsAreRefused) {
  for (const char* bad : {"", "p95", "p95<", "p95=200ms", "p101<1s", "p0<1s", "speed>5", "p95<-5ms",
                          "p95<0ms", "max<0", "error_rate<0%", "checks>100%", "checks>=101%", "p95{<1s",
                          "p95{create_order}<1s", "rps>many", "service.rps>5", "p95<200parsecs"})
    EXPECT_FALSE(parse_threshold(bad)) << bad;
  const auto unknown = parse_thresholds({"p95{name:nobody}<1s"}, kNames);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().hint, testing::HasSubstr("create_order, get_order"));
}

}  // namespace
}  // namespace flux::loadtest
