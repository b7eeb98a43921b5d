#include "cli/loadtest/scenario.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace flux::loadtest {
namespace {

TEST(Scenario, TheOrderMixIsSeventyTwentyTen) {
  const auto mix = order_mix();
  ASSERT_TRUE(mix) << mix.error().one_line();
  ASSERT_EQ(mix->flows.size(), 3U);
  EXPECT_EQ(mix->names[mix->flows[0].steps[0].name].name, "create_order");
  EXPECT_EQ(mix->flows[0].weight, 70);
  EXPECT_TRUE(mix->flows[0].steps[0].expects(202));
  EXPECT_FALSE(mix->flows[0].steps[0].expects(200));
  EXPECT_EQ(mix->flows[1].weight, 20);
  EXPECT_EQ(mix->flows[1].needs.size(), 1U);
  EXPECT_FALSE(mix->flows[1].steps[0].expects(404));
  EXPECT_EQ(mix->flows[2].weight, 10);
  EXPECT_GE(mix->setup.size(), 50U);
}

TEST(Scenario, ReadsEverythingAStepCanSay) {
  const auto scenario = parse_scenario(R"(
name: shop
think: 1s-2s
variables: {region: eu}
flows:
  - name: buy
    weight: 3
    think: 0
    set: {key: "{{uuid}}"}
    steps:
      - request: POST /v1/orders?r={{region}}
        name: create
        headers: {Idempotency-Key: "{{key}}"}
        body: '{"n":{{rand 1 5}}}'
        expect: [200, 202]
        extract: {id: {json: /orderId}, location: {header: Location}}
        check: {body: orderId, header: {X-Cache: hit, ETag: }, json: {/status: accepted}}
        think: 100ms
        tags: {kind: write}
      - request: GET /v1/orders/{{id}}
  - steps: [{websocket: /live}, {send: "hello {{region}}"}, {receive: hello}, {close: true}]
)",
                                       "shop.yaml", ".");
  ASSERT_TRUE(scenario) << scenario.error().one_line();
  const Step& create = scenario->flows[0].steps[0];
  EXPECT_EQ(create.method, "POST");
  EXPECT_EQ(create.extract.size(), 2U);
  EXPECT_EQ(create.checks.size(), 4U);
  EXPECT_EQ(create.think->least, std::chrono::milliseconds(100));
  EXPECT_EQ(scenario->names[create.name].tags.at("kind"), "write");
  EXPECT_EQ(scenario->flows[0].think->most, Duration::zero());
  EXPECT_EQ(scenario->names[scenario->flows[0].steps[1].name].name, "GET /v1/orders/{{id}}");
  ASSERT_EQ(scenario->flows[1].steps.size(), 4U);
  EXPECT_EQ(scenario->flows[1].steps[0].kind, StepKind::ws_connect);
  EXPECT_EQ(scenario->flows[1].steps[3].kind, StepKind::ws_close);
}

TEST(Scenario, MistakesAreReportedWithLineAndColumn) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"flows:\n  - stepz: []\n", "x.yaml:2:", "stepz"},
      {"flows:\n  - steps:\n      - request: GET\n", "x.yaml:3:18", "'GET' is not a request"},
      {"flows:\n  - steps:\n      - request: GET /{{who}}\n", "x.yaml:3:18", "unknown variable {{who}}"},
      {"flows:\n  - steps:\n      - request: GET /\n        expect: [20]\n", "x.yaml:4:18", "HTTP statuses"},
      {"flows:\n  - steps:\n      - request: GET /\n        think: soon\n", "x.yaml:4:16", "think"},
      {"flows:\n  - steps:\n      - request: GET /\n        extract: {id: {json: orderId}}\n",
       "x.yaml:4:", "pointer"},
      {"flows:\n  - needs: [token]\n    steps: [{request: GET /}]\n", "x.yaml:2:", "nothing sets"},
      {"flows: []\n", "x.yaml:1:1", "no flows"},
      {"flows:\n  - steps: [{request: GET /}\n", "x.yaml:", ""},
      {"think: 1s\n", "x.yaml:1:1", "no flows"},
      {"flows:\n  - weight: -1\n    steps: [{request: GET /}]\n", "x.yaml:2:5", "weight above 0"},
      {"flows:\n  - steps: [{websocket: /, shout: y}]\n", "x.yaml:2:", "shout"},
      {"feeders: [{file: nowhere.csv}]\nflows:\n  - steps: [{request: GET /}]\n",
       "x.yaml:1:", "nowhere.csv"}};
  for (const auto& [yaml, where, what] : cases) {
    const auto scenario = parse_scenario(yaml, "x.yaml", ".");
    ASSERT_FALSE(scenario) << yaml;
    EXPECT_EQ(scenario.error().code, Errc::invalid_argument);
    EXPECT_THAT(scenario.error().message, testing::StartsWith(where)) << yaml;
    EXPECT_THAT(scenario.error().message, testing::HasSubstr(what)) << yaml;
  }
}

TEST(Scenario, TheExamplesAreValid) {
  std::filesystem::path root = std::filesystem::path(__FILE__);
  if (!std::filesystem::exists(root)) root = std::filesystem::current_path();
  while (root.has_parent_path() && root != root.root_path() &&
         !std::filesystem::exists(root / "configs/scenarios"))
    root = root.parent_path();
  if (!std::filesystem::exists(root / "configs/scenarios")) GTEST_SKIP() << "run from inside the source tree";
  int examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root / "configs/scenarios")) {
    if (entry.path().extension() != ".yaml") continue;
    const auto scenario = load_scenario(entry.path().string());
    EXPECT_TRUE(scenario) << scenario.error().one_line();
    ++examples;
  }
  EXPECT_GE(examples, 4);
}

TEST(Scenario, ASingleRequestIsAScenarioOfOneStep) {
  const auto scenario =
      single_request({"/v1/x", "PUT", {"Content-Type: text/plain", "X-Id:{{uuid}}"}, "{{seq}}"});
  ASSERT_TRUE(scenario);
  EXPECT_EQ(scenario->names[0].name, "PUT /v1/x");
  EXPECT_EQ(scenario->flows[0].steps[0].headers[0].first, "Content-Type");
  EXPECT_FALSE(single_request({"/", "GET", {"nonsense"}, ""}));
}

TEST(Feeder, ReadsQuotedCsvAndJsonLines) {
  const auto csv = parse_csv("name,city\r\n\"Ann, \"\"A\"\"\",Bonn\r\nBob,\"two\nlines\"\n", "u.csv");
  ASSERT_TRUE(csv) << csv.error().one_line();
  EXPECT_EQ(csv->columns, (std::vector<std::string>{"name", "city"}));
  ASSERT_EQ(csv->rows.size(), 2U);
  EXPECT_EQ(csv->rows[0], (std::vector<std::string>{"Ann, \"A\"", "Bonn"}));
  EXPECT_EQ(csv->rows[1][1], "two\nlines");
  const auto lines =
      parse_json_lines("{\"id\":1,\"name\":\"Ann\"}\n\n{\"name\":\"Bob\",\"id\":2}\n", "u.jsonl");
  ASSERT_TRUE(lines);
  EXPECT_EQ(lines->rows[1], (std::vector<std::string>{"2", "Bob"}));
}

TEST(Feeder, NamesTheLineThatIsWrong) {
  EXPECT_THAT(parse_csv("a,b\n1,2\n3\n", "u.csv").error().message, testing::HasSubstr("u.csv:3"));
  EXPECT_THAT(parse_csv("a,b\n\"1,2\n", "u.csv").error().message, testing::HasSubstr("does not end"));
  EXPECT_THAT(parse_csv("a,b\n", "u.csv").error().message, testing::HasSubstr("no rows"));
  EXPECT_THAT(parse_json_lines("{\"a\":1}\n[1]\n", "u.jsonl").error().message,
              testing::HasSubstr("u.jsonl:2"));
  EXPECT_THAT(parse_json_lines("{\"a\":1}\n{\"b\":1}\n", "u.jsonl").error().message,
              testing::HasSubstr("no 'a'"));
}

}  // namespace
}  // namespace flux::loadtest
