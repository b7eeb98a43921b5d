// The state store contract over Redis Cluster, and slots that move.
#include <map>

#include "common/engines/distributed/redis/node_connection.hpp"
#include "common/engines/distributed/redis/topology.hpp"
#include "common/ports/key_slot.hpp"
#include "tests/contract/redis_store_engine.hpp"

namespace flux::testing {
namespace {

using redis::NodeConnection;
using redis::Reply;

INSTANTIATE_TEST_SUITE_P(RedisCluster, StateStoreContract, ::testing::Values([] {
                           return std::make_unique<RedisEngine>("FLUX_REDIS_CLUSTER", true);
                         }),
                         [](const auto&) { return "Engine"; });

class MovingSlots : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = engine_.missing();
    if (missing.empty()) return;
    if (std::getenv("FLUX_REQUIRE_LIVE") != nullptr) FAIL() << missing;
    GTEST_SKIP() << missing;
  }
  void TearDown() override {
    for (auto& [port, node] : nodes_) node->close();
  }

  Reply ask(int port, const std::vector<std::string_view>& words) {
    auto& node = nodes_[port];
    if (!node) node = NodeConnection::open(runner_.executor(), redis::ServerAddress{"127.0.0.1", port}, {});
    return runner_.run(node->call(redis::encode_command(words))).reply.value();
  }

  RedisEngine engine_{"FLUX_REDIS_CLUSTER", true};
  AsyncRunner runner_;
  std::map<int, std::shared_ptr<NodeConnection>> nodes_;
};

TEST_F(MovingSlots, KeysAreFoundWhileTheirSlotMovesAndAfterwards) {
  std::vector<int> ports;
  for (const std::string& node : engine_.options().cluster) ports.push_back(redis::parse_address(node)->port);
  auto store = engine_.open(runner_.executor()).value();
  const std::string key = engine_.options().prefix + "flux:cache:k";
  const std::string slot = std::to_string(key_slot(key));
  EXPECT_EQ(std::to_string(ask(ports[0], {"CLUSTER", "KEYSLOT", key}).integer), slot);
  ASSERT_TRUE(runner_.run(store->cache_put("other", "x", 1h)));  // the store knows the map

  int from = 0, to = 0;
  for (const int port : ports) {
    const bool owns = !ask(port, {"GET", key}).is_error("MOVED");
    (owns ? from : to) = port;
  }
  ASSERT_NE(from, 0);
  const std::string from_id = ask(from, {"CLUSTER", "MYID"}).text, to_id = ask(to, {"CLUSTER", "MYID"}).text;
  const auto move = [&](int a, const std::string& a_id, int b, const std::string& b_id) {
    EXPECT_EQ(ask(b, {"CLUSTER", "SETSLOT", slot, "IMPORTING", a_id}).text, "OK");
    EXPECT_EQ(ask(a, {"CLUSTER", "SETSLOT", slot, "MIGRATING", b_id}).text, "OK");
  };
  const auto settle = [&](const std::string& id) {
    for (const int port : ports) EXPECT_EQ(ask(port, {"CLUSTER", "SETSLOT", slot, "NODE", id}).text, "OK");
  };
  move(from, from_id, to, to_id);
  EXPECT_TRUE(ask(from, {"GET", key}).is_error("ASK"));  // the keys are over there by now
  ASSERT_TRUE(runner_.run(store->cache_put("k", "v", 1h)));
  EXPECT_EQ(runner_.run(store->cache_get("k")).value(), "v");
  settle(to_id);
  EXPECT_TRUE(ask(from, {"GET", key}).is_error("MOVED"));
  EXPECT_EQ(runner_.run(store->cache_get("k")).value(), "v");
  ASSERT_TRUE(runner_.run(store->cache_drop({"k"})));
  move(to, to_id, from, from_id);
  settle(from_id);
  EXPECT_EQ(runner_.run(store->cache_get("k")).value(), std::nullopt);
  ASSERT_TRUE(runner_.run(store->cache_put("k", "back", 1h)));
  EXPECT_EQ(ask(from, {"GET", key}).text, "back");
}

}  // namespace
}  // namespace flux::testing
