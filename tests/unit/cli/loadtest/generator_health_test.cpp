#include "cli/loadtest/generator_health.hpp"

#include <gtest/gtest.h>

namespace flux::loadtest {
namespace {

GeneratorEvidence healthy() {
  GeneratorEvidence e;
  e.busiest_thread_share = 0.4;
  e.send_lag_p50_ms = 0.03;
  e.send_lag_p99_ms = 0.4;
  e.loop_lag_p50_ms = 0.05;
  e.loop_lag_p99_ms = 0.6;
  e.service_p50_ms = 5;
  e.service_p99_ms = 40;
  e.paced = true;
  return e;
}

Verdict verdict_of(const GeneratorEvidence& evidence) {
  GeneratorReport report;
  judge_generator(evidence, report);
  EXPECT_EQ(report.verdict == Verdict::valid, report.reasons.empty());
  return report.verdict;
}

TEST(GeneratorHealth, JudgesByWhatTheGeneratorItselfDidToTheMeasurement) {
  struct Case {
    const char* name;
    void (*change)(GeneratorEvidence&);
    Verdict verdict;
  };
  const Case cases[] = {
      {"nothing wrong", [](GeneratorEvidence&) {}, Verdict::valid},
      {"the target takes the cores, but lag is small against what is measured",
       [](GeneratorEvidence& e) {
         e.run_queue_wait_share = 0.6;
         e.loop_lag_p50_ms = 8;
         e.send_lag_p50_ms = 8;
         e.service_p50_ms = 600;
       },
       Verdict::valid},
      {"a fast target and ordinary unrest",
       [](GeneratorEvidence& e) {
         e.service_p50_ms = 0.2;
         e.loop_lag_p50_ms = 0.5;
         e.loop_lag_p99_ms = 8;
       },
       Verdict::valid},
      {"sends are late by as much as answers take", [](GeneratorEvidence& e) { e.send_lag_p50_ms = 4; },
       Verdict::generator_bound},
      {"the schedule is lost, however slow the target",
       [](GeneratorEvidence& e) {
         e.send_lag_p50_ms = 900;
         e.service_p50_ms = 5'000;
       },
       Verdict::generator_bound},
      {"without a schedule send lag means nothing",
       [](GeneratorEvidence& e) {
         e.paced = false;
         e.send_lag_p50_ms = 0;
       },
       Verdict::valid},
      {"answers wait in the generator",
       [](GeneratorEvidence& e) {
         e.paced = false;
         e.loop_lag_p50_ms = 6;
         e.service_p50_ms = 12;
       },
       Verdict::generator_bound},
      {"a rate starved beside busy loops",
       [](GeneratorEvidence& e) {
         e.run_queue_wait_share = 0.87;
         e.send_lag_p50_ms = 22;
         e.loop_lag_p50_ms = 22;
         e.service_p50_ms = 80;
       },
       Verdict::generator_bound},
      {"a closed model starved beside busy loops",
       [](GeneratorEvidence& e) {
         e.paced = false;
         e.run_queue_wait_share = 0.53;
         e.loop_lag_p50_ms = 2.5;
         e.loop_lag_p90_ms = 12;
         e.service_p50_ms = 9;
       },
       Verdict::generator_bound},
      {"a closed model on the target's own cores",
       [](GeneratorEvidence& e) {
         e.paced = false;
         e.run_queue_wait_share = 0.6;
         e.loop_lag_p50_ms = 8;
         e.loop_lag_p90_ms = 20;
         e.service_p50_ms = 600;
       },
       Verdict::valid},
      {"a whole core is used up", [](GeneratorEvidence& e) { e.busiest_thread_share = 0.99; },
       Verdict::generator_bound},
      {"no descriptors", [](GeneratorEvidence& e) { e.descriptors_exhausted = 3; }, Verdict::generator_bound},
      {"no ports", [](GeneratorEvidence& e) { e.ports_exhausted = 3; }, Verdict::network_bound},
      {"lost segments", [](GeneratorEvidence& e) { e.retransmitted_share = 0.1; }, Verdict::network_bound}};
  for (const Case& c : cases) {
    GeneratorEvidence evidence = healthy();
    c.change(evidence);
    EXPECT_EQ(verdict_of(evidence), c.verdict) << c.name;
  }
}

TEST(GeneratorHealth, ReadsTheMachineCounters) {
  const MachineCounters counters = read_machine_counters();
  EXPECT_GT(counters.cpu_total, 0);
  EXPECT_LE(counters.cpu_stolen, counters.cpu_total);
  EXPECT_GT(peak_rss_bytes(), 1U << 20);
}

}  // namespace
}  // namespace flux::loadtest
