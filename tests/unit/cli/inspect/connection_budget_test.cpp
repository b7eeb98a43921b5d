#include "cli/inspect/connection_budget.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace flux::inspect {
namespace {

Config config_of(const std::string& yaml) {
  auto config = parse_config(yaml, "flux.yaml");
  EXPECT_TRUE(config) << config.error().one_line();
  return config ? *config : Config{};
}

// 3 x 50 + 3 x 100 + 6 x 10 + 10 = 520 of 600; 40 + 10 = 50 of 100 - 3.
const std::string kServices = R"(
services:
  orders: {kind: external, replicas: 3, pool: 50}
  search: {kind: external, replicas: 3, pool: 100}
  mailer: {kind: external, replicas: 6, pool: 10}
)";
const std::string kPooler =
    "pgbouncer: {max_client_conn: 600, default_pool_size: 40, reserve_pool_size: 10, overhead: 10}\n";

TEST(ConnectionBudget, AddsUpThePublishedExample) {
  const Config config = config_of(kServices + kPooler);
  const auto budget = connection_budget(config);
  EXPECT_EQ(budget.client.demand, 520);
  EXPECT_EQ(budget.client.limit, 600);
  EXPECT_EQ(budget.client.headroom(), 80);
  EXPECT_EQ(budget.server.demand, 50);
  EXPECT_EQ(budget.server.limit, 97);
  EXPECT_EQ(budget.by_service.size(), 3U);
  EXPECT_EQ(budget.binding, "client");
  EXPECT_EQ(budget.rolling->demand, 620);
  EXPECT_EQ(budget.rolling->service, "search");
  EXPECT_FALSE(budget.rolling->fits);
  EXPECT_EQ(budget.blue_green->demand, 820);
  EXPECT_EQ(budget.verdict, BudgetVerdict::tight);
}

TEST(ConnectionBudget, CountsInstancesAndPools) {
  const auto budget = connection_budget(config_of(
      kServices +
      "pgbouncer: {instances: 2, pools: 3, max_client_conn: 600, default_pool_size: 10, "
      "reserve_pool_size: 2, overhead: 0}\npostgres: {max_connections: 80, reserved_connections: 10}\n"));
  EXPECT_EQ(budget.client.limit, 1200);
  EXPECT_EQ(budget.server.demand, 72);
  EXPECT_EQ(budget.server.limit, 70);
  EXPECT_EQ(budget.verdict, BudgetVerdict::exceeded);
  EXPECT_EQ(budget.binding, "server");
  ASSERT_EQ(budget.advice.size(), 2U);
  EXPECT_EQ(budget.advice[0], "raise postgres.max_connections from 80 to at least 82 (now from flux.yaml:7)");
  EXPECT_EQ(budget.advice[1], "or lower pgbouncer.default_pool_size from 10 to 9");
}

TEST(ConnectionBudget, CountsAgainstPostgresWhenThereIsNoPooler) {
  const auto budget =
      connection_budget(config_of("services: {shop: {kind: external, replicas: 12, pool: 10}}\n"));
  EXPECT_EQ(budget.client.demand, 120);
  EXPECT_EQ(budget.client.limit, 97);
  EXPECT_EQ(budget.server.demand, 120);
  EXPECT_EQ(budget.verdict, BudgetVerdict::exceeded);
  EXPECT_EQ(budget.binding, "server");
  EXPECT_EQ(budget.advice.front(),
            "raise postgres.max_connections from 100 to at least 123 (now the default)");
  EXPECT_EQ(budget.advice.back(), "or lower services.shop.pool from 10 to 8");
}

TEST(ConnectionBudget, CountsStandardServicesOnlyWhereTheyConnect) {
  EXPECT_EQ(connection_budget(default_config()).client.demand, 3 * 4 + 3 * 2 + 1 * 2);
  const std::string listed = "services: {api: {replicas: 5}, shop: {replicas: 2, pool: 7}}\n";
  EXPECT_EQ(connection_budget(config_of(listed)).client.demand, 5 * 4 + 2 * 7);
  EXPECT_EQ(connection_budget(config_of(listed + "engines: distributed\n")).client.demand,
            5 * 4 + 2 * 7 + 3 * 2 + 1 * 2);
}

struct VerdictCase {
  int replicas;
  BudgetVerdict expected;
};

TEST(ConnectionBudget, JudgesByTheFullerSide) {
  const VerdictCase cases[]{{7, BudgetVerdict::ok}, {9, BudgetVerdict::tight}, {10, BudgetVerdict::exceeded}};
  for (const auto& c : cases) {
    const auto budget = connection_budget(
        config_of("services: {shop: {replicas: " + std::to_string(c.replicas) + ", pool: 10}}\n"));
    EXPECT_EQ(budget.verdict, c.expected) << c.replicas;
    EXPECT_EQ(budget.advice.empty(), c.expected == BudgetVerdict::ok) << c.replicas;
  }
}

TEST(ConnectionBudget, SaysHowManyReplicasFit) {
  const Config config = config_of(kServices + kPooler);
  EXPECT_EQ(most_replicas(config, "orders"), 4);  // 80 free and 150 of its own, by 50
  EXPECT_EQ(most_replicas(config, "mailer"), 14);
  EXPECT_EQ(most_replicas(config, "balancer"), std::nullopt);
  EXPECT_EQ(connection_budget(config, {{"orders", 5}}).client.demand, 620);
}

TEST(ConnectionBudget, WritesTheShapeOfTheContract) {
  const Config config = config_of(kServices + kPooler);
  const auto out = boost::json::parse(to_json(config, connection_budget(config))).as_object();
  EXPECT_EQ(out.at("client").at("headroom"), 80);
  EXPECT_EQ(out.at("client").at("by_service").as_array().size(), 3U);
  EXPECT_EQ(out.at("client").at("by_service").at(0).at("connections"), 60);
  EXPECT_EQ(out.at("server").at("pools").at(0).at("connections"), 50);
  EXPECT_EQ(out.at("verdict"), "tight");
  EXPECT_EQ(out.at("peak").at("rolling").at("fits"), false);
  EXPECT_TRUE(out.at("advice").is_array());
}

}  // namespace
}  // namespace flux::inspect
