#pragma once
// Waiting lines in closed form, and the sizes of pools that follow from them.

#include <cstdint>

#include "common/core/result.hpp"

namespace flux::capacity {

// Share of arrivals that find all servers busy, when they go away (B) or wait (C).
double erlang_b(std::int64_t servers, double erlangs);
double erlang_c(std::int64_t servers, double erlangs);  // 1 when the load is not below the servers

struct Queue {
  double utilization = 0;
  double p_wait = 0;  // an arrival has to wait
  double lq = 0;      // waiting, on average
  double wq = 0;      // seconds of waiting
  double l = 0;       // waiting or being served
  double w = 0;       // seconds of both
};

// M/M/c: arrivals and services per second (of one server). An overload is an error
// that says how many servers would do.
Result<Queue> mmc_queue(double arrival, double service, std::int64_t servers);

// Kingman's approximation for one server with any distributions: seconds of waiting, from the
// variation (deviation / mean) of times between arrivals and of services.
Result<double> kingman_wait(double utilization, double arrival_variation, double service_variation,
                            double mean_service_s);

// Little: how many are inside, from their rate and the time each stays.
inline double little(double rate, double time_s) {
  return rate * time_s;
}

// Connections that one database can use at once (HikariCP's rule), and the smallest pool in
// which `threads` that hold up to `each` connections cannot all wait for each other.
inline std::int64_t useful_connections(std::int64_t cores, std::int64_t spindles) {
  return 2 * cores + spindles;
}
inline std::int64_t deadlock_floor(std::int64_t threads, std::int64_t each) {
  return threads * (each - 1) + 1;
}

// Workers beyond the partitions of their topic have nothing to do.
inline std::int64_t parallel_work(std::int64_t workers, std::int64_t partitions) {
  return workers < partitions ? workers : partitions;
}

}  // namespace flux::capacity
