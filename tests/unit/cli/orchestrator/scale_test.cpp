#include <gtest/gtest.h>

#include "cli/orchestrator/scale_service.hpp"

namespace flux::orchestrator {
namespace {

using std::chrono::seconds;

Config config_of(const std::string& yaml) {
  auto config = parse_config(yaml, "flux.yaml");
  EXPECT_TRUE(config) << config.error().message;
  return *config;
}

const Guard* find(const std::vector<Guard>& guards, const std::string& name) {
  for (const Guard& guard : guards)
    if (guard.name == name) return &guard;
  return nullptr;
}

TEST(ScaleGuards, RefuseWithTheArithmeticAndTheLargestNumber) {
  Config config = config_of(
      "engines: distributed\npostgres: {max_connections: 100, reserved_connections: 3}\n"
      "services: {api: {pool: 10}, worker-inventory: {pool: 0}, worker-workflows: {pool: 0}}\n");
  const auto guards = check_guards(config, config.services.at("api"), 12, std::nullopt);
  const Guard* budget = find(guards, "connection_budget");
  ASSERT_NE(budget, nullptr);
  EXPECT_FALSE(budget->ok);
  EXPECT_EQ(budget->need, 120);
  EXPECT_EQ(budget->limit, 97);
  EXPECT_EQ(budget->at_most, 9);
  const Error error = refusal("api", 5, 12, guards);
  EXPECT_EQ(error.code, Errc::refused);
  EXPECT_EQ(error.message, "api 5→12 refused, at most 9: 97 server slots ÷ pool 10");
  EXPECT_FALSE(error.hint.empty());
}

TEST(ScaleGuards, CountWhatTheOtherServicesTake) {
  Config config = config_of(
      "engines: distributed\nservices: {api: {pool: 10}, worker-inventory: {pool: 9, replicas: 3}, "
      "worker-workflows: {pool: 0}}\n");
  const auto guards = check_guards(config, config.services.at("api"), 8, std::nullopt);
  const Guard* budget = find(guards, "connection_budget");
  ASSERT_NE(budget, nullptr);
  EXPECT_EQ(budget->at_most, 7);
  EXPECT_FALSE(budget->ok);
  EXPECT_EQ(budget->detail, "(97 server slots − 27 of the others) ÷ pool 10");
}

TEST(ScaleGuards, AWorkerMoreThanPartitionsWouldBeIdle) {
  Config config = config_of(
      "kafka: {topics: {orders: {partitions: 6}}}\nservices: {worker-inventory: {max_replicas: 50}}\n");
  const auto guards = check_guards(config, config.services.at("worker-inventory"), 7, std::nullopt);
  EXPECT_FALSE(find(guards, "partitions")->ok);
  EXPECT_EQ(find(guards, "partitions")->at_most, 6);
  EXPECT_EQ(find(guards, "connection_budget"), nullptr);  // no PostgreSQL is configured
}

TEST(ScaleGuards, TheMachineAndTheConfiguredMaximumLimitToo) {
  Config config = config_of("services: {api: {max_replicas: 4, memory: 1GiB}}\n");
  const Machine small{.cores = 1, .memory = 4ULL << 30};
  const auto guards = check_guards(config, config.services.at("api"), 5, small);
  EXPECT_FALSE(find(guards, "max_replicas")->ok);
  EXPECT_FALSE(find(guards, "memory")->ok);
  EXPECT_TRUE(find(guards, "cores")->ok);
  EXPECT_NE(refusal("api", 1, 5, guards).message.find("memory"), std::string::npos);
}

// Replicas become ready as the test says; time moves when the code under test waits.
class ScriptedOrchestrator final : public Orchestrator {
 public:
  std::int64_t desired = 2;
  std::int64_t can_be_ready = 100;
  std::vector<std::int64_t> asked;
  Result<std::vector<ServiceState>> list() override {
    return std::vector<ServiceState>{{"api", desired, std::min(desired, can_be_ready), desired}};
  }
  Result<> scale(const std::string&, std::int64_t replicas) override {
    asked.push_back(replicas);
    desired = replicas;
    return {};
  }
};

TEST(ScaleService, WaitsUntilReady) {
  ManualClock clock;
  ScriptedOrchestrator fake;
  const auto outcome =
      scale_service(fake, {"api", 5, seconds{60}}, clock, [&](Duration d) { clock.advance(d); });
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->applied);
  EXPECT_EQ(outcome->from, 2);
  EXPECT_EQ(outcome->ready, 5);
}

TEST(ScaleService, PutsBackWhatDoesNotBecomeReady) {
  ManualClock clock;
  ScriptedOrchestrator fake;
  fake.can_be_ready = 3;
  const auto outcome =
      scale_service(fake, {"api", 5, seconds{10}}, clock, [&](Duration d) { clock.advance(d); });
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->put_back);
  EXPECT_FALSE(outcome->applied);
  EXPECT_EQ(fake.asked, (std::vector<std::int64_t>{5, 2}));
  EXPECT_GE(outcome->took, seconds{10});
}

TEST(ScaleService, NamesTheServicesThatThereAre) {
  ManualClock clock;
  ScriptedOrchestrator fake;
  const auto outcome =
      scale_service(fake, {"apo", 5, seconds{1}}, clock, [&](Duration d) { clock.advance(d); });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Errc::not_found);
  EXPECT_NE(outcome.error().hint.find("api"), std::string::npos);
}

}  // namespace
}  // namespace flux::orchestrator
