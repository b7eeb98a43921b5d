#include "cli/loadtest/run_loadtest.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <algorithm>
#include <set>

#include "cli/loadtest/echo_server.hpp"
#include "scripted_server.hpp"

namespace flux::loadtest {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RunPlan plan_for(const std::string& url, const SingleRequest& request = {}) {
  RunPlan plan;
  plan.target = *resolve_target(url);
  plan.scenario = *single_request(request);
  plan.think = ThinkTime{};
  plan.users.users = 4;
  plan.threads = 1;
  plan.run_time = milliseconds(300);
  plan.timeout = seconds(5);
  plan.calibrate = false;
  return plan;
}

RunResult run(const RunPlan& plan) {
  RunControl control;
  auto output = run_loadtest(plan, control, {});
  EXPECT_TRUE(output) << (output ? "" : output.error().one_line());
  return output ? output->result : RunResult{};
}

ScriptedServer::Script always(const ScriptedAnswer& answer) {
  return [answer](std::uint64_t, const std::string&, std::int64_t) { return answer; };
}

TEST(RunLoadtest, EveryUserSendsWhatItWasAskedToAndNothingIsLost) {
  const auto server = EchoServer::start();
  ASSERT_TRUE(server);
  RunPlan plan = plan_for((*server)->url());
  plan.users.users = 50;
  plan.requests_per_user = 40;
  plan.run_time = seconds(60);
  plan.threads = 2;
  const RunResult result = run(plan);
  EXPECT_EQ(result.requests, 2'000U);
  EXPECT_EQ(result.errors, 0U);
  EXPECT_EQ((*server)->answered(), 2'000U);
  EXPECT_EQ(result.statuses.at(200), 2'000U);
  EXPECT_EQ(result.users, 50U);
  EXPECT_EQ(result.generator.connections, 50U);
  EXPECT_LE(result.latency.service.p99, result.latency.service.max);
}

TEST(RunLoadtest, CountsEveryKindOfFailure) {
  const std::string bad_request = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  const std::string failed = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
  const std::tuple<ScriptedAnswer, const char*> cases[] = {
      {{bad_request}, "status_4xx"},
      {{failed}, "status_5xx"},
      {{"", 0, true}, "reset"},
      {{"HTTP/1.1 200 OK\r\nConte", 0, true}, "protocol"},
      {{"garbage\r\n\r\n", 0, false}, "protocol"},
      {{"", 0, false, true}, "timeout"}};
  for (const auto& [answer, kind] : cases) {
    ScriptedServer server(always(answer));
    RunPlan plan = plan_for(server.url());
    plan.users.users = 2;
    plan.requests_per_user = 2;
    plan.run_time = seconds(20);
    plan.timeout = milliseconds(200);
    const RunResult result = run(plan);
    EXPECT_EQ(result.requests, 4U) << kind;
    EXPECT_EQ(result.errors, 4U) << kind;
    EXPECT_EQ(result.errors_by_kind.at(kind), 4U) << kind;
  }
}

TEST(RunLoadtest, ConnectionCloseAndNoKeepaliveConnectAnew) {
  const std::string close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
  const std::string until_end = "HTTP/1.0 200 OK\r\n\r\nuntil the end";
  for (const std::string& bytes : {close, until_end}) {
    ScriptedServer server(always({bytes, 0, true}));
    RunPlan plan = plan_for(server.url());
    plan.requests_per_user = 5;
    plan.run_time = seconds(20);
    const RunResult result = run(plan);
    EXPECT_EQ(result.errors, 0U) << result.first_error;
    EXPECT_EQ(result.generator.connections, 20U);
  }
  const auto server = EchoServer::start();
  RunPlan plan = plan_for((*server)->url());
  plan.requests_per_user = 5;
  plan.run_time = seconds(20);
  plan.keep_alive = false;
  const RunResult result = run(plan);
  EXPECT_EQ(result.errors, 0U);
  EXPECT_EQ(result.generator.connections, 20U);
}

TEST(RunLoadtest, AnswersInPiecesAndLargeOnesAreRead) {
  ScriptedServer server(always({ok_answer(std::string(3'000'000, 'x'))}));
  RunPlan plan = plan_for(server.url());
  plan.users.users = 1;
  plan.requests_per_user = 3;
  plan.run_time = seconds(20);
  const RunResult result = run(plan);
  // The server does not retry what its socket buffer refuses, so the answer may end early: it must not hang.
  EXPECT_EQ(result.requests, 3U);
}

TEST(RunLoadtest, ExtractsChecksAndFollowsVariables) {
  ScriptedServer server([](std::uint64_t, const std::string& request, std::int64_t) {
    if (request.starts_with("POST /orders "))
      return ScriptedAnswer{ok_answer(R"({"id":"o-77","n":[1,2]})", "X-Tag: t9\r\n")};
    if (request.starts_with("GET /orders/o-77?tag=t9 "))
      return ScriptedAnswer{ok_answer(R"({"status":"ready"})")};
    return ScriptedAnswer{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"};
  });
  RunPlan plan = plan_for(server.url());
  auto scenario = parse_scenario(R"(
think: 0
flows:
  - steps:
      - request: POST /orders
        name: create
        body: '{"key":"{{uuid}}"}'
        extract: {id: {json: /id}, tag: {header: x-tag}}
        check: {json: {/n/1: 2}, header: {X-Tag: t9}}
      - request: GET /orders/{{id}}?tag={{tag}}
        name: read
        check: {json: {/status: ready}}
      - request: GET /orders/{{id}}?tag={{tag}}
        name: wrong
        check: {body: never there}
)",
                                 "t.yaml", ".");
  ASSERT_TRUE(scenario) << scenario.error().one_line();
  plan.scenario = *scenario;
  plan.requests_per_user = 6;
  plan.run_time = seconds(20);
  const RunResult result = run(plan);
  EXPECT_EQ(result.requests, 24U);
  EXPECT_EQ(result.errors_by_kind.at("check"), 8U);
  EXPECT_EQ(result.errors, 8U);
  EXPECT_EQ(result.by_name[0].errors + result.by_name[1].errors, 0U);
  EXPECT_EQ(result.checks_passed, 24U);
  EXPECT_EQ(result.checks_failed, 8U);
}

TEST(RunLoadtest, TheSameSeedSendsTheSameRequests) {
  const auto sent_with = [](std::uint64_t seed, std::uint32_t threads) {
    ScriptedServer server(always({ok_answer()}));
    RunPlan plan = plan_for(server.url(), {"/{{uuid}}/{{rand 1 1000}}", "GET", {}, ""});
    plan.requests_per_user = 10;
    plan.run_time = seconds(20);
    plan.seed = seed;
    plan.threads = threads;
    run(plan);
    std::multiset<std::string> lines;  // without Host, which has the server's port
    for (const std::string& request : server.received()) lines.insert(request.substr(0, request.find('\r')));
    return lines;
  };
  EXPECT_EQ(sent_with(5, 1), sent_with(5, 2)) << "the number of threads must not matter";
  EXPECT_NE(sent_with(5, 1), sent_with(6, 1));
}

TEST(RunLoadtest, ArrivalsKeepTheirRateWithoutBunching) {
  ScriptedServer server(always({ok_answer()}));
  RunPlan plan = plan_for(server.url());
  plan.rate = 500;
  plan.users.users = 200;
  plan.run_time = seconds(2);
  const RunResult result = run(plan);
  ASSERT_TRUE(result.rate);
  EXPECT_EQ(result.requests, 1'000U);
  EXPECT_TRUE(result.rate->met);
  EXPECT_NEAR(result.rate->sent, 500, 5);
}

TEST(RunLoadtest, ARateThatCannotBeMetSaysSo) {
  ScriptedServer server(always({ok_answer(), 50'000'000}));
  RunPlan plan = plan_for(server.url());
  plan.rate = 1'000;
  plan.users.users = 5;  // 5 users of 50 ms carry 100/s
  plan.run_time = seconds(1);
  const RunResult result = run(plan);
  ASSERT_TRUE(result.rate);
  EXPECT_FALSE(result.rate->met);
  EXPECT_GT(result.rate->unsent, 500U);
  EXPECT_GT(result.latency.response.p50, 3 * result.latency.service.p50)
      << "waiting for a user counts as response time";
}

TEST(RunLoadtest, WarmUpIsNotMeasured) {
  ScriptedServer server([](std::uint64_t, const std::string&, std::int64_t now_ns) {
    return ScriptedAnswer{ok_answer(), now_ns < 400'000'000 ? 100'000'000 : 1'000'000};
  });
  RunPlan plan = plan_for(server.url());
  plan.warmup = milliseconds(1'000);
  plan.run_time = milliseconds(2'000);
  const RunResult result = run(plan);
  EXPECT_LT(result.latency.service.p50, 50);
  EXPECT_NEAR(result.duration_s, 1, 0.2);
  for (const TimelinePoint& point : result.timeline) EXPECT_GT(point.t_s, 1);
}

TEST(RunLoadtest, NobodyListeningIsOneClearError) {
  RunPlan plan = plan_for("http://127.0.0.1:1");
  RunControl control;
  const auto output = run_loadtest(plan, control, {});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, Errc::unavailable);
  EXPECT_THAT(output.error().message,
              testing::HasSubstr("cannot reach http://127.0.0.1:1 (Connection refused)"));
}

TEST(RunLoadtest, MoreUsersThanDescriptorsSaysHowManyAndWhatToDo) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  RunPlan plan = plan_for("http://127.0.0.1:1");
  plan.users.users = static_cast<std::uint32_t>(std::min<rlim_t>(limit.rlim_max, 3'000'000)) + 1;
  RunControl control;
  const auto output = run_loadtest(plan, control, {});
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().message, testing::HasSubstr("file descriptors"));
  EXPECT_THAT(output.error().hint, testing::HasSubstr("ulimit"));
}

TEST(RunLoadtest, ATargetThatDiesIsCountedAndTheRunEnds) {
  auto server = EchoServer::start();
  ASSERT_TRUE(server);
  RunPlan plan = plan_for((*server)->url());
  plan.run_time = milliseconds(1'500);
  RunControl control;
  const auto output = run_loadtest(plan, control, [&](const LiveView& view) {
    if (view.elapsed_s > 0.5) server->reset();
  });
  ASSERT_TRUE(output);
  EXPECT_GT(output->result.requests, output->result.errors);
  EXPECT_GT(output->result.errors_by_kind.at("connect"), 0U);
  EXPECT_LT(output->result.errors_by_kind.at("connect"), 200U) << "no busy loop of connects";
}

TEST(RunLoadtest, StoppingKeepsWhatWasMeasured) {
  const auto server = EchoServer::start();
  RunPlan plan = plan_for((*server)->url());
  plan.run_time = seconds(600);
  RunControl control;
  const auto output =
      run_loadtest(plan, control, [&](const LiveView& view) { control.stop = view.elapsed_s > 0.4; });
  ASSERT_TRUE(output);
  EXPECT_TRUE(output->result.interrupted);
  EXPECT_GT(output->result.requests, 0U);
  EXPECT_EQ(output->result.errors, 0U);
}

TEST(RunLoadtest, AThresholdThatAbortsEndsTheRunEarly) {
  ScriptedServer server(always({"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", 1'000'000}));
  RunPlan plan = plan_for(server.url());
  plan.run_time = seconds(600);
  plan.thresholds = *parse_thresholds({"error_rate<1%,abort"}, plan.scenario.names);
  const RunResult result = run(plan);
  EXPECT_EQ(result.aborted_by, "error_rate<1%,abort");
  EXPECT_LT(result.duration_s, 10);
  EXPECT_FALSE(result.thresholds_met());
}

TEST(RunLoadtest, UsersFollowTheStages) {
  ScriptedServer server(always({ok_answer(), 1'000'000}));
  RunPlan plan = plan_for(server.url());
  plan.users.stages = *parse_stages("500ms:20,500ms:20,500ms:0");
  plan.run_time = plan.users.settles_after();
  std::vector<std::uint32_t> seen;
  RunControl control;
  const auto output = run_loadtest(plan, control, [&](const LiveView& view) { seen.push_back(view.users); });
  ASSERT_TRUE(output);
  EXPECT_EQ(output->result.users, 20U);
  EXPECT_EQ(output->result.errors, 0U);
  EXPECT_LT(seen.back(), 15U);
}

}  // namespace
}  // namespace flux::loadtest
