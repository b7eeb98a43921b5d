#include "daemons/balancer/choose_upstream.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace flux::balancer {
namespace {

struct Pool {
  explicit Pool(std::vector<double> weights) : turns(weights.size(), 0.0) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      candidates.push_back({.weight = weights[i],
                            .active = 0,
                            .ewma_ns = 0,
                            .identity = hash_bytes("host" + std::to_string(i)),
                            .turn = &turns[i]});
  }
  std::size_t choose(Algorithm algorithm, std::uint64_t key = 0) {
    return choose_upstream(algorithm, candidates, key, random);
  }
  std::vector<double> turns;
  std::vector<Candidate> candidates;
  QuickRandom random{7};
};

// The sequence nginx's documentation of smooth weighted round robin gives for 5, 1, 1.
TEST(ChooseUpstream, RoundRobinIsSmoothAsInNginx) {
  Pool pool({5, 1, 1});
  std::string sequence;
  for (int i = 0; i < 14; ++i) sequence += static_cast<char>('a' + pool.choose(Algorithm::round_robin));
  EXPECT_EQ(sequence, "aabacaaaabacaa");
}

TEST(ChooseUpstream, LeastConnTakesTheFewest) {
  Pool pool({1, 1, 1});
  pool.candidates[0].active = 3;
  pool.candidates[1].active = 2;
  pool.candidates[2].active = 4;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pool.choose(Algorithm::least_conn), 1U);
}

// Envoy, weighted least request: w / (active + 1).
TEST(ChooseUpstream, LeastConnSharesByWeightAndLoad) {
  Pool pool({1, 3});
  int second = 0;
  for (int i = 0; i < 400; ++i) second += pool.choose(Algorithm::least_conn) == 1;
  EXPECT_EQ(second, 300);
  pool.candidates[1].active = 2;  // 3 / 3 against 1 / 1
  second = 0;
  for (int i = 0; i < 400; ++i) second += pool.choose(Algorithm::least_conn) == 1;
  EXPECT_NEAR(second, 200, 3);
}

TEST(ChooseUpstream, LeastConnStaysEvenWhenRequestsAreHeld) {
  Pool pool({1, 1, 1});
  for (int i = 0; i < 300; ++i) ++pool.candidates[pool.choose(Algorithm::least_conn)].active;
  for (const auto& c : pool.candidates) EXPECT_EQ(c.active, 100);
}

TEST(ChooseUpstream, PeakEwmaAvoidsTheSlowOne) {
  Pool pool({1, 1});
  pool.candidates[0].ewma_ns = 1e9;
  pool.candidates[1].ewma_ns = 1e6;
  pool.candidates[1].active = 10;
  EXPECT_EQ(pool.choose(Algorithm::peak_ewma), 1U);
}

TEST(ChooseUpstream, TwoChoicesNeverTakeTheMostLoaded) {
  Pool pool({1, 1, 1});
  pool.candidates[0].active = 50;
  for (int i = 0; i < 1000; ++i) EXPECT_NE(pool.choose(Algorithm::p2c), 0U);
}

TEST(ChooseUpstream, WeightZeroGetsNothing) {
  for (const auto algorithm : {Algorithm::round_robin, Algorithm::least_conn, Algorithm::p2c,
                               Algorithm::peak_ewma, Algorithm::hash}) {
    Pool pool({0, 1, 1});
    for (int i = 0; i < 200; ++i) EXPECT_NE(pool.choose(algorithm, hash_bytes(std::to_string(i))), 0U);
    Pool nobody({0, 0});
    EXPECT_EQ(nobody.choose(algorithm), kNobody);
  }
}

TEST(ChooseUpstream, HashFollowsWeights) {
  Pool pool({1, 3});
  int second = 0;
  constexpr int kKeys = 20000;
  for (int i = 0; i < kKeys; ++i) second += pool.choose(Algorithm::hash, hash_bytes(std::to_string(i))) == 1;
  EXPECT_NEAR(second, kKeys * 0.75, kKeys * 0.02);
}

TEST(ChooseUpstream, HashMovesOnlyTheKeysOfTheUpstreamThatWent) {
  Pool all({1, 1, 1, 1});
  Pool fewer({1, 1, 1, 0});
  for (int i = 0; i < 5000; ++i) {
    const auto key = hash_bytes(std::to_string(i));
    const auto before = all.choose(Algorithm::hash, key);
    if (before != 3) {
      EXPECT_EQ(fewer.choose(Algorithm::hash, key), before);
    }
  }
}

TEST(ChooseUpstream, NamesReadBack) {
  for (const auto* name : {"round_robin", "least_conn", "p2c", "peak_ewma", "hash"})
    EXPECT_EQ(to_string(*parse_algorithm(name)), name);
  EXPECT_FALSE(parse_algorithm("fastest"));
}

}  // namespace
}  // namespace flux::balancer
