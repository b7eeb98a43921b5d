#pragma once
// Judges the generator by its own measurements: did it drive the load honestly,
// or was it, or the network under it, the bottleneck? A pure function.

#include <cstdint>

#include "cli/loadtest/result.hpp"

namespace flux::loadtest {

struct GeneratorEvidence {
  double busiest_thread_share = 0;  // processor time over wall time, of the busiest thread
  double run_queue_wait_share = 0;  // time that thread was ready but did not run
  double steal_share = 0;
  double send_lag_p50_ms = 0, send_lag_p99_ms = 0;
  double loop_lag_p50_ms = 0, loop_lag_p90_ms = 0, loop_lag_p99_ms = 0;
  double service_p50_ms = 0, service_p99_ms = 0;
  bool paced = false;  // sends have a schedule (think time or a rate), so send lag means something
  std::uint64_t ports_exhausted = 0;
  std::uint64_t descriptors_exhausted = 0;
  double retransmitted_share = 0;  // of the segments this machine sent
};

// Fills in verdict and reasons of `report`.
void judge_generator(const GeneratorEvidence& evidence, GeneratorReport& report);

// Counters of the whole machine, for differences over a run.
struct MachineCounters {
  double cpu_total = 0, cpu_stolen = 0;  // ticks
  double segments_out = 0, segments_retransmitted = 0;
};
MachineCounters read_machine_counters();
std::uint64_t peak_rss_bytes();

}  // namespace flux::loadtest
