#include "daemons/balancer/balancer_report.hpp"

#include <boost/json.hpp>
#include <cstdio>

namespace flux::balancer {
namespace json = boost::json;
namespace {

struct Totals {
  std::uint64_t requests = 0;
  std::array<std::uint64_t, 6> by_class{};
  std::uint64_t failures = 0;
  std::uint64_t connects = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t retries = 0;
  std::array<std::uint64_t, kLatencyBoundsUs.size() + 1> latency{};
  std::uint64_t latency_sum_us = 0;
};

Totals totals_of(const Upstream& upstream) {
  Totals t;
  for (const TrafficCounters& c : upstream.counters) {
    t.requests += c.requests.read();
    for (std::size_t i = 0; i < t.by_class.size(); ++i) t.by_class[i] += c.by_class[i].read();
    t.failures += c.failures.read();
    t.connects += c.connects.read();
    t.connect_failures += c.connect_failures.read();
    t.retries += c.retries.read();
    for (std::size_t i = 0; i < t.latency.size(); ++i) t.latency[i] += c.latency[i].read();
    t.latency_sum_us += c.latency_sum_us.read();
  }
  return t;
}

std::int64_t now_ns() {
  return system_clock().steady().time_since_epoch().count();
}

template <class Member>
std::uint64_t sum(const Workers& workers, const Member& member) {
  std::uint64_t n = 0;
  for (const auto& worker : workers) n += member(worker->counters());
  return n;
}

struct WorkerNumber {
  const char* name;
  const char* help;
  bool gauge;
  std::uint64_t (*read)(const WorkerCounters&);
};

constexpr WorkerNumber kWorkerNumbers[] = {
    {"flux_balancer_client_connections", "Open client connections", true,
     [](const WorkerCounters& c) { return c.accepted.read() - c.closed.read(); }},
    {"flux_balancer_accepted_total", "Client connections accepted", false,
     [](const WorkerCounters& c) { return c.accepted.read(); }},
    {"flux_balancer_requests_total", "Requests taken", false,
     [](const WorkerCounters& c) { return c.requests.read(); }},
    {"flux_balancer_refused_requests_total", "Requests refused as malformed or too large", false,
     [](const WorkerCounters& c) { return c.refused_requests.read(); }},
    {"flux_balancer_tunnels_total", "Connections upgraded to tunnels", false,
     [](const WorkerCounters& c) { return c.tunnels.read(); }},
    {"flux_balancer_truncated_total", "Answers broken off because the upstream did", false,
     [](const WorkerCounters& c) { return c.truncated.read(); }},
    {"flux_balancer_panic_total", "Picks made with less than half of a pool available", false,
     [](const WorkerCounters& c) { return c.panics.read(); }},
    {"flux_balancer_slow_clients_total", "Clients below the least body rate", false,
     [](const WorkerCounters& c) { return c.slow_clients.read(); }},
    {"flux_balancer_over_client_cap_total", "Connections refused by the cap per client address", false,
     [](const WorkerCounters& c) { return c.over_cap.read(); }},
    {"flux_balancer_waiting_requests", "Requests waiting for a place at an upstream", true,
     [](const WorkerCounters& c) { return c.waiting.load(std::memory_order_relaxed); }},
};

void head(std::string& out, const char* name, const char* help, const char* type) {
  out.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ").append(name).append(" ");
  out.append(type).append("\n");
}

}  // namespace

std::string_view state_of(const Upstream& upstream) {
  if (upstream.draining) return "draining";
  if (upstream.probed_down) return "down";
  if (upstream.ejected(now_ns())) return "ejected";
  return "up";
}

json::value describe_upstreams(const Topology& topology) {
  json::array list;
  for (const auto& upstream : topology.upstreams) {
    const Totals t = totals_of(*upstream);
    const auto ejections = upstream->ejections();
    list.push_back({{"id", upstream->id},
                    {"url", "http://" + upstream->id},
                    {"pool", upstream->pool},
                    {"weight", upstream->weight.load()},
                    {"state", state_of(*upstream)},
                    {"active", upstream->active.load()},
                    {"requests", t.requests},
                    {"failures", t.failures},
                    {"retries", t.retries},
                    {"status_5xx", t.by_class[5]},
                    {"ejections", ejections.total}});
  }
  return {{"upstreams", std::move(list)}};
}

json::value describe_stats(const Topology& topology, const Workers& workers) {
  json::object numbers;
  for (const WorkerNumber& number : kWorkerNumbers) {
    std::string_view name = number.name;
    name.remove_prefix(std::string_view("flux_balancer_").size());
    if (name.ends_with("_total")) name.remove_suffix(6);
    numbers[name] = sum(workers, number.read);
  }
  json::object answered;
  answered["502"] = sum(workers, [](const WorkerCounters& c) { return c.answered_502.read(); });
  answered["503"] = sum(workers, [](const WorkerCounters& c) { return c.answered_503.read(); });
  answered["504"] = sum(workers, [](const WorkerCounters& c) { return c.answered_504.read(); });
  numbers["own_answers"] = std::move(answered);
  numbers["threads"] = workers.size();
  json::array pools;
  for (const auto& [name, pool] : topology.pools) pools.push_back({{"name", name}, {"weight", pool.weight}});
  numbers["pools"] = std::move(pools);
  json::array routes;
  for (const Route& route : topology.routes)
    routes.push_back({{"prefix", route.prefix}, {"pools", json::value_from(route.pools)}});
  numbers["routes"] = std::move(routes);
  numbers["upstreams"] = describe_upstreams(topology).at("upstreams");
  return numbers;
}

std::string balancer_exposition(const Topology& topology, const Workers& workers) {
  std::string out;
  for (const WorkerNumber& number : kWorkerNumbers) {
    head(out, number.name, number.help, number.gauge ? "gauge" : "counter");
    out.append(number.name).append(" ").append(std::to_string(sum(workers, number.read))).append("\n");
  }
  head(out, "flux_balancer_own_answers_total", "Answers given without an upstream", "counter");
  const auto own = [&](const char* status, std::uint64_t n) {
    out.append("flux_balancer_own_answers_total{status=\"").append(status).append("\"} ");
    out.append(std::to_string(n)).append("\n");
  };
  own("502", sum(workers, [](const WorkerCounters& c) { return c.answered_502.read(); }));
  own("503", sum(workers, [](const WorkerCounters& c) { return c.answered_503.read(); }));
  own("504", sum(workers, [](const WorkerCounters& c) { return c.answered_504.read(); }));

  std::vector<std::pair<std::string, Totals>> rows;
  for (const auto& upstream : topology.upstreams)
    rows.emplace_back("pool=\"" + upstream->pool + "\",upstream=\"" + upstream->id + "\"",
                      totals_of(*upstream));
  const auto family = [&](const char* name, const char* help, const char* type, const auto& value) {
    head(out, name, help, type);
    for (std::size_t i = 0; i < rows.size(); ++i)
      out.append(name)
          .append("{")
          .append(rows[i].first)
          .append("} ")
          .append(std::to_string(value(i)))
          .append("\n");
  };
  const auto& upstreams = topology.upstreams;
  family("flux_balancer_upstream_up", "1: gets requests", "gauge",
         [&](std::size_t i) { return state_of(*upstreams[i]) == "up" ? 1 : 0; });
  family("flux_balancer_upstream_active", "Requests under way", "gauge",
         [&](std::size_t i) { return upstreams[i]->active.load(); });
  family("flux_balancer_upstream_breaker_state", "0 closed, 1 open, 2 half-open", "gauge",
         [&](std::size_t i) { return static_cast<int>(upstreams[i]->ejections().state); });
  family("flux_balancer_upstream_ejections_total", "Times taken out by its own answers", "counter",
         [&](std::size_t i) { return upstreams[i]->ejections().total; });
  family("flux_balancer_upstream_attempts_total", "Requests sent to it, retries included", "counter",
         [&](std::size_t i) { return rows[i].second.requests; });
  family("flux_balancer_upstream_retries_total", "Attempts that were not the first of their request",
         "counter", [&](std::size_t i) { return rows[i].second.retries; });
  family("flux_balancer_upstream_failures_total", "Attempts without a whole answer", "counter",
         [&](std::size_t i) { return rows[i].second.failures; });
  family("flux_balancer_upstream_connects_total", "Connections opened to it", "counter",
         [&](std::size_t i) { return rows[i].second.connects; });
  family("flux_balancer_upstream_connect_failures_total", "Connections that could not be opened", "counter",
         [&](std::size_t i) { return rows[i].second.connect_failures; });
  head(out, "flux_balancer_upstream_responses_total", "Answers by status class", "counter");
  for (const auto& [labels, t] : rows)
    for (std::size_t c = 1; c < t.by_class.size(); ++c)
      out.append("flux_balancer_upstream_responses_total{")
          .append(labels)
          .append(",class=\"")
          .append(std::to_string(c))
          .append("xx\"} ")
          .append(std::to_string(t.by_class[c]))
          .append("\n");
  constexpr const char* kLatency = "flux_balancer_upstream_latency_seconds";
  head(out, kLatency, "From the request's start at the upstream to the answer's end", "histogram");
  for (const auto& [labels, t] : rows) {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < t.latency.size(); ++i) {
      count += t.latency[i];
      char bound[24] = "+Inf";
      if (i < kLatencyBoundsUs.size()) std::snprintf(bound, sizeof bound, "%g", kLatencyBoundsUs[i] / 1e6);
      out.append(kLatency)
          .append("_bucket{")
          .append(labels)
          .append(",le=\"")
          .append(bound)
          .append("\"} ")
          .append(std::to_string(count))
          .append("\n");
    }
    out.append(kLatency)
        .append("_sum{")
        .append(labels)
        .append("} ")
        .append(std::to_string(static_cast<double>(t.latency_sum_us) / 1e6))
        .append("\n");
    out.append(kLatency)
        .append("_count{")
        .append(labels)
        .append("} ")
        .append(std::to_string(count))
        .append("\n");
  }
  return out;
}

}  // namespace flux::balancer
