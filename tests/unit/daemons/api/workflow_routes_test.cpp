#include <set>

#include "common/workflow/trigger_event.hpp"
#include "tests/unit/daemons/api/api_fixture.hpp"

namespace flux::api {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const std::string kSteps = R"("steps":[{"name":"wait","kind":"sleep","with":{"duration":"1s"}},)"
                           R"({"name":"call","kind":"http","with":{"url":"http://127.0.0.1:1/x"}}])";
const std::string kWorkflow = R"({"name":"w",)" + kSteps + "}";

struct WorkflowRoutes : ApiTest {
  Answer created() { return ask("POST", "/v1/workflows", kWorkflow); }
};

TEST_F(WorkflowRoutes, CreatesReadsAndReplaces) {
  start();
  const auto made = created();
  EXPECT_EQ(made.status, 201);
  const auto path = "/v1/workflows/" + made.text("workflowId");
  EXPECT_EQ(made.header("Location"), path);
  EXPECT_EQ(made.number("version"), 1);
  const auto steps = made.json().at("steps");
  EXPECT_EQ(steps, boost::json::parse("{" + kSteps + "}").at("steps"));

  const auto read = ask("GET", path);
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(read.body, made.body);
  EXPECT_EQ(read.header("X-Cache"), "miss");
  const auto again = ask("GET", path);
  EXPECT_EQ(again.header("X-Cache"), "hit");
  EXPECT_EQ(again.body, made.body);
  EXPECT_EQ(again.header("ETag"), "\"1\"");
  const auto unchanged = ask("GET", path, "", "If-None-Match: \"1\"\r\n");
  EXPECT_EQ(unchanged.status, 304);
  EXPECT_EQ(unchanged.body, "");

  EXPECT_EQ(ask("PUT", path, kWorkflow, kJson + "If-Match: \"7\"\r\n").status, 412);
  const auto changed = ask("PUT", path, kWorkflow, kJson + "If-Match: \"1\"\r\n");
  EXPECT_EQ(changed.status, 200);
  EXPECT_EQ(changed.number("version"), 2);
  EXPECT_EQ(ask("PUT", path, kWorkflow, kJson + "If-Match: \"1\"\r\n").status, 412);
  EXPECT_EQ(ask("GET", path).number("version"), 2) << "a write must be seen by the next read";
  EXPECT_EQ(ask("PUT", path, kWorkflow, kJson + "If-Match: *\r\n").number("version"), 3);
  EXPECT_EQ(ask("PUT", path, kWorkflow).number("version"), 4);
  EXPECT_EQ(ask("GET", path).number("version"), 4);
}

TEST_F(WorkflowRoutes, NamesTheOffendingStep) {
  start();
  const auto steps = [](const std::string& list) { return R"({"name":"w","steps":[)" + list + "]}"; };
  const std::string good = R"({"name":"a","kind":"sleep","with":{"duration":"1s"}})";
  const std::pair<std::string, const char*> cases[] = {
      {steps(""), "steps must be a list"},
      {steps(good + "," + good), "steps[1].name"},
      {steps(good + R"(,{"name":"b","kind":"shell","with":{}})"), "steps[1] ('b').kind"},
      {steps(R"({"name":"b","kind":"sleep","with":{"duration":5}})"), "steps[0] ('b').with"},
      {steps(R"({"name":"b","kind":"http","with":{}})"), "steps[0] ('b').with"},
      {steps(R"({"name":"b","kind":"sleep","with":[]})"), "steps[0].with"},
      {steps(R"({"kind":"sleep"})"), "steps[0].name is missing"},
      {steps("7"), "steps[0] must be a JSON object"},
      {steps(R"({"name":"b","kind":"sleep","with":{"duration":"1s"},"if":1})"), "steps[0].if"},
      {R"({"steps":[]})", "name is missing"},
      {R"({"name":"w","steps":{}})", "steps must be a list"},
      {R"({"name":")" + std::string(129, 'x') + "\"," + kSteps + "}", "name must be"},
  };
  for (const auto& [body, detail] : cases) {
    const auto answer = ask("POST", "/v1/workflows", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_THAT(answer.text("detail"), HasSubstr(detail)) << body;
  }
  EXPECT_EQ(ask("GET", "/v1/workflows/x").status, 404);
  EXPECT_EQ(ask("PUT", "/v1/workflows/01890a5d-ac96-774b-bcce-b302099a8057", kWorkflow).status, 404);
  EXPECT_EQ(ask("POST", "/v1/workflows/01890a5d-ac96-774b-bcce-b302099a8057/trigger").status, 404);
}

TEST_F(WorkflowRoutes, ATriggerQueuesARunAndAppendsItsEvent) {
  start();
  const auto workflow = created().text("workflowId");
  const auto queued = ask("POST", "/v1/workflows/" + workflow + "/trigger", R"({"input":{"a":[1,2]}})");
  EXPECT_EQ(queued.status, 202);
  EXPECT_EQ(queued.text("status"), "queued");
  const auto records = log.records("workflow.trigger");
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].key, workflow);
  EXPECT_EQ(decode_trigger_event(records[0].value)->run_id.to_string(), queued.text("runId"));

  const auto run = ask("GET", "/v1/runs/" + queued.text("runId"));
  EXPECT_EQ(run.status, 200);
  EXPECT_EQ(run.text("workflowId"), workflow);
  EXPECT_EQ(run.json().at("input"), boost::json::parse(R"({"a":[1,2]})"));
  ASSERT_EQ(run.json().at("steps").as_array().size(), 2u);
  EXPECT_EQ(run.json().at("steps").at(0),
            boost::json::parse(
                R"({"name":"wait","status":"queued","attempts":0,"startedAt":null,"finishedAt":null})"));
  EXPECT_EQ(ask("GET", "/v1/runs/" + queued.text("runId")).header("X-Cache"), "hit");

  EXPECT_EQ(ask("POST", "/v1/workflows/" + workflow + "/trigger", "", "").status, 202);
  EXPECT_EQ(ask("POST", "/v1/workflows/" + workflow + "/trigger", R"({"input":7})").status, 400);
  EXPECT_EQ(ask("POST", "/v1/workflows/" + workflow + "/trigger", R"({"other":{}})").status, 400);
}

TEST_F(WorkflowRoutes, ARunWhoseEventWasCertainlyLostIsGone) {
  start();
  const auto workflow = created().text("workflowId");
  log.fail_next_append({Errc::unavailable, "away"});
  EXPECT_EQ(ask("POST", "/v1/workflows/" + workflow + "/trigger").status, 503);
  EXPECT_TRUE(ledger.list_runs({})->empty());
  log.fail_next_append_maybe(false);
  EXPECT_EQ(ask("POST", "/v1/workflows/" + workflow + "/trigger").status, 503);
  EXPECT_EQ(ledger.list_runs({})->size(), 1u);
}

TEST_F(WorkflowRoutes, PagesOfRunsAreStableWhileRunsAreAdded) {
  start();
  const auto workflow = created().text("workflowId");
  const auto trigger = [&] {
    clock.advance(5ms);
    return ask("POST", "/v1/workflows/" + workflow + "/trigger").text("runId");
  };
  std::vector<std::string> newest_first;
  for (int i = 0; i < 7; ++i) newest_first.insert(newest_first.begin(), trigger());
  std::vector<std::string> seen;
  std::string cursor;
  int pages = 0;
  do {
    const auto page =
        ask("GET", "/v1/runs?limit=3&workflowId=" + workflow + "&status=queued&cursor=" + cursor);
    ASSERT_EQ(page.status, 200) << page.body;
    const auto document = page.json();
    for (const auto& run : document.at("runs").as_array()) seen.emplace_back(run.at("runId").as_string());
    cursor = page.text("nextCursor");
    trigger();
    ++pages;
  } while (!cursor.empty() && pages < 10);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, newest_first);
  EXPECT_EQ(ask("GET", "/v1/runs?status=failed").body, R"({"runs":[]})");
  for (const char* bad : {"limit=0", "limit=501", "limit=x", "limit=-1", "status=odd", "cursor=x",
                          "workflowId=1", "color=red", "limit=1&limit=2", "limit=%zz"})
    EXPECT_EQ(ask("GET", std::string("/v1/runs?") + bad).status, 400) << bad;
}

TEST_F(WorkflowRoutes, ATriggerIsSeenByTheNextListAndListsAreCachedBetween) {
  start();
  const auto workflow = created().text("workflowId");
  ask("POST", "/v1/workflows/" + workflow + "/trigger");
  EXPECT_EQ(ask("GET", "/v1/runs").header("X-Cache"), "miss");
  EXPECT_EQ(ask("GET", "/v1/runs").header("X-Cache"), "hit");
  ask("POST", "/v1/workflows/" + workflow + "/trigger");
  const auto fresh = ask("GET", "/v1/runs");
  EXPECT_EQ(fresh.header("X-Cache"), "miss");
  EXPECT_EQ(fresh.json().at("runs").as_array().size(), 2u);
  clock.advance(3s);
  EXPECT_EQ(ask("GET", "/v1/runs").header("X-Cache"), "miss");
}

TEST_F(WorkflowRoutes, AStampedeFillsTheCacheOnce) {
  start();
  const auto path = "/v1/workflows/" + created().text("workflowId");
  std::atomic<int> good{0}, misses{0};
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 60; ++i)
      clients.emplace_back([&] {
        for (int k = 0; k < 5; ++k) {
          const auto answer = ask("GET", path);
          good += answer.status == 200;
          misses += answer.header("X-Cache") == "miss";
        }
      });
  }
  EXPECT_EQ(good, 300);
  const auto text = metrics.exposition();
  // Followers of the one fill count as misses, but only that one asked the ledger.
  EXPECT_LE(misses, 60);
  EXPECT_THAT(text, HasSubstr("flux_cache_requests_total{kind=\"workflow\",result=\"hit\"}"));
}

TEST_F(WorkflowRoutes, ReadsGoOnFromTheCacheWhileTheLedgerIsAway) {
  start();
  const auto path = "/v1/workflows/" + created().text("workflowId");
  EXPECT_EQ(ask("GET", path).status, 200);
  for (int i = 0; i < 400; ++i) ledger.fail_next({Errc::unavailable, "away", "", true});
  ASSERT_TRUE(testing::eventually(5s, [&] { return ask("GET", "/ready").status == 503; }));
  EXPECT_EQ(ask("GET", path).header("X-Cache"), "hit");
  const auto created_meanwhile = created();
  EXPECT_EQ(created_meanwhile.status, 503);
  EXPECT_NE(created_meanwhile.header("Retry-After"), "");
}

}  // namespace
}  // namespace flux::api
