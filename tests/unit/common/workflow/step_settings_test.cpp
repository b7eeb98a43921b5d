#include "common/workflow/step_settings.hpp"

#include <gtest/gtest.h>

#include "common/workflow/trigger_event.hpp"

namespace flux {
namespace {

struct Refused {
  StepKind kind;
  const char* with;
  const char* names;  // what the message must name
};

TEST(StepSettings, RefusesWhatCannotRunAndNamesIt) {
  const Refused cases[] = {
      {StepKind::http, R"({})", "url"},
      {StepKind::http, R"({"url":"ftp://x"})", "url"},
      {StepKind::http, R"({"url":"http://x/ y"})", "url"},
      {StepKind::http, R"({"url":"http://x","method":"BREW"})", "method"},
      {StepKind::http, R"({"url":"http://x","headers":{"A":"b\r\nC: d"}})", "headers"},
      {StepKind::http, R"({"url":"http://x","headers":{"A b":"c"}})", "headers"},
      {StepKind::http, R"({"url":"http://x","timeout":"1d"})", "timeout"},
      {StepKind::http, R"({"url":"http://x","timeout":5})", "timeout"},
      {StepKind::http, R"({"url":"http://x","expect":1000})", "expect"},
      {StepKind::http, R"({"url":"http://x","attempts":0})", "attempts"},
      {StepKind::http, R"({"url":"http://x","colour":"red"})", "colour"},
      {StepKind::emit, R"({"value":1})", "topic"},
      {StepKind::emit, R"({"topic":"../orders"})", "topic"},
      {StepKind::sleep, R"({})", "duration"},
      {StepKind::sleep, R"({"duration":"25h"})", "duration"},
      {StepKind::sleep, R"({"duration":"-1s"})", "duration"},
      {StepKind::sleep, R"([])", "with"},
      {StepKind::sleep, R"({"duration")", "with"},
  };
  for (const Refused& c : cases) {
    const auto parsed = parse_step_settings(c.kind, c.with);
    ASSERT_FALSE(parsed) << c.with;
    EXPECT_EQ(parsed.error().code, Errc::invalid_argument);
    EXPECT_NE(parsed.error().message.find(c.names), std::string::npos) << parsed.error().message;
  }
}

TEST(StepSettings, ReadsEverySetting) {
  const auto http = parse_step_settings(
      StepKind::http,
      R"({"url":"http://127.0.0.1:1/x","method":"POST","headers":{"X-A":"b"},"body":{"a":1},"timeout":"2s","expect":201,"attempts":5,"backoff":"10ms"})");
  ASSERT_TRUE(http) << http.error().message;
  const auto& h = std::get<HttpStep>(*http);
  EXPECT_EQ(h.method, "POST");
  EXPECT_EQ(h.body, R"({"a":1})");
  EXPECT_EQ(h.headers.at(0).second, "b");
  EXPECT_EQ(h.timeout, std::chrono::seconds{2});
  EXPECT_EQ(h.expect, 201);
  EXPECT_EQ(h.retry.attempts, 5);
  EXPECT_EQ(h.retry.first_wait, std::chrono::milliseconds{10});

  const auto emit = parse_step_settings(StepKind::emit, R"({"topic":"audit.log","key":"k","value":[1,2]})");
  ASSERT_TRUE(emit);
  EXPECT_EQ(std::get<EmitStep>(*emit).value, "[1,2]");

  const auto sleep = parse_step_settings(StepKind::sleep, R"({"duration":"1.5s"})");
  ASSERT_TRUE(sleep);
  EXPECT_EQ(std::get<SleepStep>(*sleep).duration, std::chrono::milliseconds{1500});
}

TEST(TriggerEvent, SurvivesTheRoundTripAndRefusesTheRest) {
  const TriggerEvent event{new_uuid(), new_uuid()};
  const auto back = decode_trigger_event(encode_trigger_event(event));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->run_id, event.run_id);
  EXPECT_EQ(back->workflow_id, event.workflow_id);
  for (const char* bad :
       {"", "null", "{}", R"({"runId":1,"workflowId":2})", R"({"runId":"x","workflowId":"y"})", "{"})
    EXPECT_FALSE(decode_trigger_event(bad)) << bad;
}

}  // namespace
}  // namespace flux
