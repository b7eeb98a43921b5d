#include "cli/loadtest/generator_health.hpp"

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

namespace flux::loadtest {
namespace {

// A lag below this is a scheduler's ordinary unrest and changes no conclusion.
constexpr double kHarmlessLagMs = 2;
// A lag matters when it is a good part of what was measured.
constexpr double kMaterialShare = 0.3;
// Later than this at the median and the schedule is not being kept, however slow the target is.
constexpr double kLostScheduleMs = 100;
// The same, when the generator was ready and had no processor: a slow answer may then be its own doing.
constexpr double kLateBesideOthersMs = 10;
constexpr double kSaturated = 0.95;
constexpr double kStarved = 0.40;
constexpr double kRetransmitted = 0.02;

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %%", share * 100);
  return text;
}

std::string milliseconds(double ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g ms", ms);
  return text;
}

}  // namespace

void judge_generator(const GeneratorEvidence& e, GeneratorReport& report) {
  const auto bound = [&](Verdict verdict, const std::string& reason) {
    report.verdict = verdict;
    report.reasons.push_back(reason);
  };
  if (e.ports_exhausted != 0)
    bound(Verdict::network_bound,
          std::to_string(e.ports_exhausted) +
              " connects found no free local port; use keep-alive, fewer users, or widen "
              "net.ipv4.ip_local_port_range");
  if (e.retransmitted_share > kRetransmitted)
    bound(Verdict::network_bound,
          percent(e.retransmitted_share) + " of the segments sent were retransmissions");
  if (e.descriptors_exhausted != 0)
    bound(Verdict::generator_bound, std::to_string(e.descriptors_exhausted) +
                                        " connects found no free file descriptor; raise ulimit -n");
  if (e.paced && e.send_lag_p50_ms > kHarmlessLagMs &&
      (e.send_lag_p50_ms > kMaterialShare * e.service_p50_ms || e.send_lag_p50_ms > kLostScheduleMs))
    bound(Verdict::generator_bound,
          "half of the requests left " + milliseconds(e.send_lag_p50_ms) +
              " or more after their time; use more --threads, or a machine of its own");
  else if (e.paced && e.send_lag_p50_ms > kLateBesideOthersMs && e.run_queue_wait_share > kStarved)
    bound(Verdict::generator_bound, "half of the requests left " + milliseconds(e.send_lag_p50_ms) +
                                        " or more after their time, for want of a processor");
  const bool material = e.loop_lag_p50_ms > kMaterialShare * e.service_p50_ms;
  if (e.loop_lag_p50_ms > kHarmlessLagMs && material)
    bound(Verdict::generator_bound, "answers waited " + milliseconds(e.loop_lag_p50_ms) +
                                        " in the generator (median), against a service time of " +
                                        milliseconds(e.service_p50_ms));
  // Without a schedule there is no send lag to see starvation by, and a closed model slows down
  // with its generator: then a tenth of the waits, with no processor to be had, is enough.
  else if (!e.paced && e.run_queue_wait_share > kStarved && e.loop_lag_p90_ms > kHarmlessLagMs &&
           e.loop_lag_p90_ms > kMaterialShare * e.service_p50_ms)
    bound(Verdict::generator_bound, "a tenth of the answers waited " + milliseconds(e.loop_lag_p90_ms) +
                                        " or more in the generator, against a service time of " +
                                        milliseconds(e.service_p50_ms));
  if (e.busiest_thread_share > kSaturated)
    bound(Verdict::generator_bound, "a generator thread used " + percent(e.busiest_thread_share) +
                                        " of a core: the target may be able to do more; use more --threads");
  if (report.verdict == Verdict::generator_bound && e.run_queue_wait_share > kStarved)
    report.reasons.push_back("a generator thread was ready but without a processor " +
                             percent(e.run_queue_wait_share) + " of the time");
  if (report.verdict == Verdict::generator_bound && e.steal_share > 0.05)
    report.reasons.push_back("the host took " + percent(e.steal_share) + " of the processors away");
}

MachineCounters read_machine_counters() {
  MachineCounters counters;
  std::ifstream stat("/proc/stat");
  std::string name;
  stat >> name;
  double value = 0;
  for (int field = 0; field < 8 && stat >> value; ++field) {
    counters.cpu_total += value;
    if (field == 7) counters.cpu_stolen = value;
  }
  std::ifstream snmp("/proc/net/snmp");
  std::string header;
  for (std::string line; std::getline(snmp, line);) {
    if (!line.starts_with("Tcp:")) continue;
    if (header.empty()) {
      header = line;
      continue;
    }
    std::istringstream names(header);
    std::istringstream values(line);
    std::string label;
    std::string number;
    while (names >> label && values >> number) {
      if (label == "OutSegs") counters.segments_out = std::stod(number);
      if (label == "RetransSegs") counters.segments_retransmitted = std::stod(number);
    }
    break;
  }
  return counters;
}

// From the kernel's record of this program image: getrusage() would include the
// process that started it, from before exec.
std::uint64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) << 10;
  return 0;
}

}  // namespace flux::loadtest
