#include "cli/capacity/queueing.hpp"

#include <cmath>
#include <cstdio>

namespace flux::capacity {
namespace {

constexpr std::int64_t kMostServers = 10'000'000;

Error not_positive(const char* name) {
  return {Errc::invalid_argument, std::string(name) + " must be a number above 0"};
}

}  // namespace

double erlang_b(std::int64_t servers, double erlangs) {
  double b = 1;
  for (std::int64_t c = 1; c <= servers; ++c) b = erlangs * b / (static_cast<double>(c) + erlangs * b);
  return b;
}

double erlang_c(std::int64_t servers, double erlangs) {
  const double utilization = erlangs / static_cast<double>(servers);
  if (utilization >= 1) return 1;
  const double b = erlang_b(servers, erlangs);
  return b / (1 - utilization * (1 - b));
}

Result<Queue> mmc_queue(double arrival, double service, std::int64_t servers) {
  if (!(arrival > 0) || !std::isfinite(arrival)) return not_positive("the arrival rate");
  if (!(service > 0) || !std::isfinite(service)) return not_positive("the service rate");
  if (servers < 1 || servers > kMostServers)
    return Error{Errc::invalid_argument, "servers must be from 1 to " + std::to_string(kMostServers)};
  const double c = static_cast<double>(servers);
  const double erlangs = arrival / service;
  Queue queue;
  queue.utilization = erlangs / c;
  if (queue.utilization >= 1) {
    char text[200];
    std::snprintf(
        text, sizeof text,
        "overload: %g/s arrive and %lld server%s serve %g/s (utilization %.4g), so the queue grows for ever",
        arrival, static_cast<long long>(servers), servers == 1 ? "" : "s", service * c, queue.utilization);
    return Error{Errc::invalid_argument, text,
                 "use at least " + std::to_string(static_cast<std::int64_t>(std::floor(erlangs)) + 1) +
                     " servers, or serve faster"};
  }
  queue.p_wait = erlang_c(servers, erlangs);
  queue.wq = queue.p_wait / (c * service - arrival);
  queue.lq = little(arrival, queue.wq);
  queue.w = queue.wq + 1 / service;
  queue.l = little(arrival, queue.w);
  return queue;
}

Result<double> kingman_wait(double utilization, double arrival_variation, double service_variation,
                            double mean_service_s) {
  if (!(utilization >= 0 && utilization < 1))
    return Error{Errc::invalid_argument, "the utilization must be from 0 to below 1"};
  return utilization / (1 - utilization) *
         (arrival_variation * arrival_variation + service_variation * service_variation) / 2 * mean_service_s;
}

}  // namespace flux::capacity
