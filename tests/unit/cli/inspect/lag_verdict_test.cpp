// The verdict rules. Where a row names Burrow, the rule and its result are those of
// its evaluator (github.com/linkedin/Burrow, wiki "Consumer Lag Evaluation Rules").
#include "cli/inspect/lag_verdict.hpp"

#include <gtest/gtest.h>

#include <string>

namespace flux::inspect {
namespace {

using namespace std::chrono_literals;

const WallTime kStart{1'700'000'000s};

struct Look {
  int at_s;
  std::int64_t committed;
  std::int64_t end;
  std::optional<int> commit_s{};
};

struct Case {
  std::string name;
  std::vector<Look> looks;
  LagStatus expected;
  bool attended = true;
  std::optional<Duration> waiting{};
};

class Verdict : public ::testing::TestWithParam<Case> {};

TEST_P(Verdict, FollowsTheRules) {
  const Case& given = GetParam();
  std::vector<LagSample> samples;
  for (const Look& look : given.looks)
    samples.push_back({.seen = kStart + std::chrono::seconds{look.at_s},
                       .committed_at = look.commit_s
                                           ? std::optional{kStart + std::chrono::seconds{*look.commit_s}}
                                           : std::nullopt,
                       .committed = look.committed,
                       .end = look.end});
  EXPECT_EQ(judge({.samples = samples, .attended = given.attended, .waiting = given.waiting}),
            given.expected);
}

INSTANTIATE_TEST_SUITE_P(
    , Verdict,
    ::testing::Values(
        Case{"NothingSeen", {}, LagStatus::unknown},
        Case{"BurrowNoLagNow", {{0, 100, 900}, {30, 900, 900}}, LagStatus::ok},
        Case{"QuietTopicOfAnHourAgo", {{0, 500, 500, -3600}, {1, 500, 500, -3600}}, LagStatus::ok},
        Case{"QuietTopicAndNobodyThere", {{0, 500, 500}}, LagStatus::ok, false},
        Case{"ARecordJustCameIntoAQuietTopic", {{0, 500, 501, -3600}}, LagStatus::ok, true, 50ms},
        Case{"BurrowCommitsStopped",
             {{0, 100, 500, 0}, {20, 110, 600, 20}, {60, 110, 900, 20}},
             LagStatus::stopped},
        Case{"BurrowCaughtUpBeforeItWentQuiet",
             {{0, 100, 100, 0}, {20, 110, 110, 20}, {60, 110, 112, 20}},
             LagStatus::ok},
        Case{"NobodyReadsWhatWaits", {{0, 100, 101}}, LagStatus::stopped, false},
        Case{"NotAMemberButCommits", {{0, 100, 300}, {1, 150, 300}}, LagStatus::ok, false},
        Case{"BurrowRewind", {{0, 100, 500}, {5, 50, 500}, {12, 60, 510}}, LagStatus::rewind},
        Case{"BurrowRewindRegained", {{0, 100, 500}, {5, 50, 500}, {12, 160, 510}}, LagStatus::ok},
        Case{"BurrowSomeCommitHadNoLag", {{0, 500, 500}, {6, 510, 600}, {12, 520, 800}}, LagStatus::ok},
        Case{"BurrowStalled", {{0, 100, 500}, {6, 100, 500}, {12, 100, 520}}, LagStatus::stalled},
        Case{"BurrowStalledWithCommitTimes",
             {{0, 100, 500, 0}, {6, 100, 500, 6}, {12, 100, 520, 12}},
             LagStatus::stalled},
        Case{"BurrowLagNeverDecreases", {{0, 100, 500}, {6, 150, 600}, {12, 160, 700}}, LagStatus::warning},
        Case{"BurrowLagDecreasesOnce", {{0, 100, 500}, {6, 250, 600}, {12, 300, 700}}, LagStatus::ok},
        Case{"TooShortToCallItStalled", {{0, 100, 500}, {1, 100, 500}}, LagStatus::unknown},
        Case{"TooShortToCallItFallingBehind", {{0, 100, 500}, {1, 110, 700}}, LagStatus::ok},
        Case{"OneLookAtALivelyGroup", {{0, 100, 500, -1}}, LagStatus::ok},
        Case{"OneLookAtALongSilence", {{0, 100, 500, -60}}, LagStatus::stopped, true, 50s}),
    [](const auto& given) { return given.param.name; });

TEST(Lag, CountsFromTheStartWithoutACommitAndNeverBelowZero) {
  struct Row {
    std::int64_t start;
    std::optional<std::int64_t> committed;
    std::int64_t end;
    std::int64_t lag;
  };
  for (const Row& row : {Row{0, 40, 100, 60}, Row{30, std::nullopt, 100, 70}, Row{50, 20, 100, 50},
                         Row{0, 101, 100, 0}, Row{100, 20, 100, 0}, Row{0, std::nullopt, 0, 0}})
    EXPECT_EQ(lag_of(row.start, row.committed, row.end), row.lag) << row.start << " " << row.end;
}

TEST(Lag, DrainsAtTheDifferenceOfTheRates) {
  EXPECT_EQ(time_to_drain(0, {.in = 5, .out = 0}), Duration{0});
  EXPECT_EQ(time_to_drain(1000, {.in = 100, .out = 200}), Duration{10s});
  EXPECT_EQ(time_to_drain(1000, {.in = 200, .out = 200}), std::nullopt);
  EXPECT_EQ(time_to_drain(INT64_MAX, {.in = 0, .out = 1e-9}), std::nullopt);
}

TEST(RecommendedWorkers, KeepPaceAndDrainButNeverExceedThePartitions) {
  struct Row {
    WorkerNeed need;
    int expected;
  };
  const LagRates rates{.in = 100, .out = 100};
  for (const auto& [need, expected] :
       {Row{{.lag = 0, .threshold = 1000, .rates = rates, .members = 3, .partitions = 12}, 3},
        Row{{.lag = 6000, .threshold = 1000, .rates = rates, .members = 2, .partitions = 12}, 4},
        Row{{.lag = 1'000'000, .threshold = 1000, .rates = rates, .members = 2, .partitions = 12}, 12},
        Row{{.lag = 6000, .threshold = 1000, .rates = rates, .members = 20, .partitions = 12}, 12},
        Row{{.lag = 6000, .threshold = 1000, .rates = std::nullopt, .members = 2, .partitions = 12}, 2},
        Row{{.lag = 6000, .threshold = 1000, .rates = LagRates{}, .members = 0, .partitions = 12}, 1},
        Row{{.lag = 0, .threshold = 1000, .rates = rates, .members = 0, .partitions = 0}, 1}})
    EXPECT_EQ(recommended_workers(need), expected) << need.lag << " " << need.members;
}

}  // namespace
}  // namespace flux::inspect
