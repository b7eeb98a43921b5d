#include "cli/capacity/capacity_report.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace flux::capacity {
namespace {

Config config_of(const std::string& yaml) {
  auto config = parse_config(yaml, "flux.yaml");
  EXPECT_TRUE(config) << config.error().one_line();
  return config ? *config : Config{};
}

const ComponentLoad& component(const LoadPlan& plan, const std::string& name) {
  for (const auto& load : plan.components)
    if (load.component == name) return load;
  ADD_FAILURE() << name;
  return plan.components.front();
}

struct NeedCase {
  double rps;
  const char* component;
  std::int64_t needed;
};

TEST(CapacityReport, SizesEachLoadByTheCeilings) {
  const auto report = capacity_report(default_config(), {});
  ASSERT_TRUE(report) << report.error().one_line();
  const NeedCase cases[]{
      {10e3, "api", 2},     {100e3, "api", 17},     {1e6, "api", 167},      {10e3, "redis", 1},
      {100e3, "redis", 1},  {1e6, "redis", 10},     {10e3, "partition", 1}, {1e6, "partition", 2},
      {10e3, "worker", 10}, {100e3, "worker", 100}, {1e6, "worker", 1000},
  };
  for (const auto& c : cases)
    for (const auto& plan : report->loads)
      if (plan.rps == c.rps) {
        EXPECT_EQ(component(plan, c.component).needed, c.needed) << c.component << " at " << c.rps;
      }
  EXPECT_EQ(report->loads[1].partitions, 100) << "as many as workers, or they have nothing to do";
  EXPECT_EQ(component(report->loads[0], "api").with_headroom, 3);
}

TEST(CapacityReport, NamesWhatBinds) {
  const auto report = capacity_report(default_config(), {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->binding, "worker");
  EXPECT_EQ(report->carries_rps, 3000);
  EXPECT_EQ(report->loads[0].binding, "worker");
  EXPECT_EQ(report->loads[0].cheapest_way, "flux scale worker-inventory --replicas 10");
  EXPECT_EQ(report->loads[1].cheapest_way.substr(0, 38), "flux topics expand orders --partitions");
  EXPECT_EQ(report->loads[1].hard_limit, "connections");

  ReportInput fewer_orders;
  fewer_orders.order_share = 0.1;
  const auto other = capacity_report(config_of("services: {api: {replicas: 1}}"), fewer_orders);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->binding, "api");
  EXPECT_EQ(other->carries_rps, 6000);
}

TEST(CapacityReport, CountsOnlyWorkersThatHaveAPartition) {
  const auto report = capacity_report(config_of("services: {worker-inventory: {replicas: 30}}\n"
                                                "kafka: {topics: {orders: {partitions: 4}}}"),
                                      {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->carries_rps, 4000);
}

TEST(CapacityReport, ReplicasDoNotLiftOneKeyOrRow) {
  ReportInput input;
  input.loads = {2e6};
  const auto report = capacity_report(config_of("postgres: {max_connections: 100000}"), input);
  ASSERT_TRUE(report);
  const auto& plan = report->loads[0];
  EXPECT_EQ(component(plan, "redis-key").needed, std::nullopt);
  EXPECT_EQ(component(plan, "redis-key").refusal, "replicas do not help: there is one");
  EXPECT_EQ(plan.hard_limit, "postgres");
  EXPECT_NEAR(plan.hard_limit_used, 20, 1e-9);
}

TEST(CapacityReport, ClaimsNothingBeyondTheMeasurement) {
  ReportInput input;
  input.loads = {5000, 10e3};
  input.measurement = Measurement{"run.json", 9000, "api"};
  const auto report = capacity_report(default_config(), input);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->components[0].ceiling, 3000);
  EXPECT_EQ(report->components[0].source, "measured");
  EXPECT_EQ(report->loads[0].api_replicas, 2);
  EXPECT_EQ(report->loads[1].api_replicas, std::nullopt);
  EXPECT_NE(component(report->loads[1], "api").refusal.find("not measured that far"), std::string::npos);
  EXPECT_NE(to_text(*report).find("no capacity claim at this load"), std::string::npos);
}

TEST(CapacityReport, KnowsTiersAndCosts) {
  EXPECT_EQ(tier_of(40).partitions, 3);
  EXPECT_EQ(tier_of(500).workers, 3);
  EXPECT_EQ(tier_of(1500).partitions, 12);
  EXPECT_EQ(tier_of(1e6).workers, 30);
  EXPECT_EQ(cost_of(10), 100);
  EXPECT_EQ(cost_of(10e3), 650);
  EXPECT_EQ(cost_of(100e3), 2150);
  EXPECT_EQ(cost_of(1e6), std::nullopt) << "beyond what is known";
}

TEST(CapacityReport, RefusesWhatMakesNoSense) {
  const auto refused = [](const ReportInput& input) {
    const auto report = capacity_report(default_config(), input);
    return report ? std::string("accepted") : report.error().message;
  };
  EXPECT_EQ(refused({{}}), "no load is given");
  EXPECT_EQ(refused({{0}}), "a load must be above 0 and at most 1e12 requests/s");
  EXPECT_EQ(refused({{1}, 0}), "the share of orders must be above 0 % and at most 100 %");
  EXPECT_EQ(refused({{1}, 1, 0.5}), "a transaction settles at least 1 order");
  EXPECT_EQ(refused({{1}, 1, 1, {{"apis", 3}}}), "there is no component 'apis' with a ceiling");
  EXPECT_EQ(refused({{1}, 1, 1, {{"api", 0}}}), "the ceiling of api must be above 0");
}

TEST(CapacityReport, WritesJsonAndAPageWithoutNetwork) {
  ReportInput input;
  input.measurement = Measurement{"<run>.json", 9000};
  const auto report = capacity_report(default_config(), input);
  ASSERT_TRUE(report);
  const auto out = boost::json::parse(to_json(*report)).as_object();
  EXPECT_EQ(out.at("loads").as_array().size(), 3U);
  EXPECT_EQ(out.at("loads").at(0).at("binding"), "worker");
  EXPECT_TRUE(out.at("loads").at(2).at("cost_usd_month").is_null());
  const std::string page = to_html(*report);
  EXPECT_NE(page.find("&lt;run&gt;.json"), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  for (const char* outside : {"http://", "https://", "src=", "<script", "@import"})
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
}

}  // namespace
}  // namespace flux::capacity
