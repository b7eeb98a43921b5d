#include "cli/capacity/capacity_report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/capacity/queueing.hpp"
#include "common/core/units.hpp"

namespace flux::capacity {
namespace {

constexpr double kGoodUse = 0.7;  // the CPU target of the trigger table

enum class Demand { request, order, transaction };

struct Kind {
  const char* name;
  const char* what;
  double ceiling;
  Demand demand;
  bool more_units;
};

// Ceilings of the reference; each is replaced by a measurement where there is one.
constexpr Kind kKinds[]{
    {"api", "requests/s an instance", 6e3, Demand::request, true},
    {"redis", "operations/s a node", 100e3, Demand::request, true},
    {"redis-key", "operations/s on the key of one hot product", 1e6, Demand::order, false},
    {"partition", "messages/s a partition", 500e3, Demand::order, true},
    {"worker", "orders/s a worker that has a partition", 1e3, Demand::order, true},
    {"postgres", "transactions/s a primary", 1e3, Demand::transaction, false},
    {"postgres-row", "updates/s of the row of one hot product", 10e3, Demand::transaction, false},
};

constexpr const char* kNoFurther =
    "not measured that far: how it scales beyond is not in the data; measure with more, or leave out --from";

std::string count(std::int64_t n) {
  return std::to_string(n);
}

const ServiceConfig* first_of(const Config& config, ServiceKind kind, const std::string& group = "") {
  for (const auto& [name, service] : config.services)
    if (service.kind == kind && (group.empty() || service.group == group)) return &service;
  return nullptr;
}

std::int64_t order_partitions(const Config& config) {
  const auto* worker = first_of(config, ServiceKind::worker, "inventory");
  const auto topic =
      config.kafka.topics.find(worker != nullptr && !worker->topic.empty() ? worker->topic : "orders");
  return topic == config.kafka.topics.end() ? 1 : std::max(1, topic->second.partitions);
}

std::int64_t configured_units(const Config& config, std::string_view component) {
  const auto replicas = [](const ServiceConfig* s) {
    return s == nullptr ? std::int64_t{1} : std::max<std::int64_t>(1, s->replicas);
  };
  if (component == "api") return replicas(first_of(config, ServiceKind::api));
  if (component == "worker")
    return parallel_work(replicas(first_of(config, ServiceKind::worker, "inventory")),
                         order_partitions(config));
  if (component == "partition") return order_partitions(config);
  if (component == "redis")
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(config.redis.cluster.size()));
  return 1;
}

std::vector<Component> components_of(const Config& config, const ReportInput& input) {
  std::vector<Component> components;
  for (const Kind& kind : kKinds) {
    Component c{kind.name, kind.what, kind.ceiling};
    c.units = configured_units(config, kind.name);
    c.more_units = kind.more_units;
    c.source = "default";
    c.per_request = kind.demand == Demand::request ? 1
                    : kind.demand == Demand::order ? input.order_share
                                                   : input.order_share / input.orders_per_transaction;
    if (const auto given = input.ceilings.find(kind.name); given != input.ceilings.end()) {
      c.ceiling = given->second;
      c.source = "given";
    } else if (input.measurement && c.name == "api") {
      c.ceiling = input.measurement->rps / static_cast<double>(c.units);
      c.source = "measured";
    }
    components.push_back(std::move(c));
  }
  return components;
}

std::int64_t units_for(double demand, double ceiling) {
  // A load that fits exactly needs no further unit because of rounding in the division.
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(demand / ceiling - 1e-9)));
}

ComponentLoad load_of(const Component& c, double rps, const ReportInput& input) {
  ComponentLoad load{c.name};
  load.demand = rps * c.per_request;
  load.utilization = load.demand / (static_cast<double>(c.units) * c.ceiling);
  if (c.source == "measured" && rps > input.measurement->rps * (1 + 1e-9)) {
    load.refusal = kNoFurther;
  } else if (!c.more_units) {
    if (load.demand > c.ceiling) load.refusal = "replicas do not help: there is one";
  } else {
    load.needed = units_for(load.demand, c.ceiling);
    load.with_headroom = units_for(load.demand, c.ceiling * kGoodUse);
  }
  return load;
}

std::string way_past(const std::string& component, const LoadPlan& plan, const Config& config) {
  const auto* worker = first_of(config, ServiceKind::worker, "inventory");
  const std::string partitions = count(plan.partitions);
  if (component == "api")
    return plan.api_replicas ? "flux scale api --replicas " + count(*plan.api_replicas)
                             : "measure with more API replicas, then scale by what was measured";
  if (component == "worker") {
    const std::string scale = "flux scale " +
                              (worker == nullptr ? std::string("worker-inventory") : worker->name) +
                              " --replicas " + count(plan.workers);
    return plan.partitions > order_partitions(config)
               ? "flux topics expand orders --partitions " + partitions + ", then " + scale
               : scale;
  }
  if (component == "partition") return "flux topics expand orders --partitions " + partitions;
  if (component == "redis") return "a Redis Cluster with more nodes; keys spread by product";
  if (component == "redis-key")
    return "split the hot product's stock into buckets (PUT /v1/products/ID with buckets)";
  if (component == "postgres") return "settle more orders in one transaction, or split the ledger by product";
  if (component == "postgres-row")
    return "settle more orders in one transaction, or split the hot product's stock into buckets";
  return plan.connections.advice.empty() ? "" : plan.connections.advice.front();
}

void find_limits(const CapacityReport& report, LoadPlan& plan) {
  const auto most = std::ranges::max_element(plan.components, {}, &ComponentLoad::utilization);
  plan.binding = most->component;
  for (std::size_t i = 0; i < plan.components.size(); ++i) {
    if (report.components[i].more_units || plan.components[i].utilization <= plan.hard_limit_used) continue;
    plan.hard_limit = plan.components[i].component;
    plan.hard_limit_used = plan.components[i].utilization;
  }
  const double connections = std::max(plan.connections.client.used(), plan.connections.server.used());
  if (connections > plan.hard_limit_used) {
    plan.hard_limit = "connections";
    plan.hard_limit_used = connections;
  }
}

LoadPlan plan_for(const Config& config, const ReportInput& input, const CapacityReport& report, double rps) {
  LoadPlan plan;
  plan.rps = rps;
  std::map<std::string, std::int64_t> replicas;
  for (const Component& c : report.components) {
    ComponentLoad load = load_of(c, rps, input);
    if (c.name == "api") plan.api_replicas = load.needed;
    if (c.name == "worker") plan.workers = load.needed.value_or(0);
    if (c.name == "partition") plan.partitions = load.needed.value_or(0);
    plan.components.push_back(std::move(load));
  }
  plan.partitions = std::max(plan.partitions, plan.workers);  // parallel work = min(workers, partitions)
  if (const auto* api = first_of(config, ServiceKind::api); api != nullptr && plan.api_replicas)
    replicas[api->name] = *plan.api_replicas;
  if (const auto* worker = first_of(config, ServiceKind::worker, "inventory"))
    replicas[worker->name] = plan.workers;
  plan.connections = inspect::connection_budget(config, replicas);
  find_limits(report, plan);
  const auto binding = std::ranges::find(plan.components, plan.binding, &ComponentLoad::component);
  if (binding->utilization > 1) plan.cheapest_way = way_past(plan.binding, plan, config);
  if (plan.hard_limit_used > 1 && plan.hard_limit != plan.binding)
    plan.cheapest_way +=
        (plan.cheapest_way.empty() ? "" : "; then: ") + way_past(plan.hard_limit, plan, config);
  plan.tier = tier_of(rps);
  plan.cost_usd_month = cost_of(rps);
  if (!plan.cost_usd_month) plan.notes.push_back("cost: known up to 100k requests/s only, not extrapolated");
  if (input.measurement && !plan.api_replicas)
    plan.notes.push_back(
        "no capacity claim at this load: the run measured " + format_count(input.measurement->rps) +
        " requests/s; API replicas are not extrapolated, and the connections count those of the "
        "configuration");
  return plan;
}

Error bad(const std::string& what) {
  return {Errc::invalid_argument, what, "see 'flux capacity report --help'"};
}

Result<> valid(const ReportInput& input) {
  if (input.loads.empty()) return bad("no load is given");
  for (const double rps : input.loads)
    if (!(rps > 0 && rps <= 1e12)) return bad("a load must be above 0 and at most 1e12 requests/s");
  if (!(input.order_share > 0 && input.order_share <= 1))
    return bad("the share of orders must be above 0 % and at most 100 %");
  if (!(input.orders_per_transaction >= 1)) return bad("a transaction settles at least 1 order");
  if (input.measurement && !(input.measurement->rps > 0))
    return Error{Errc::not_valid, input.measurement->source + " measured no requests",
                 "run the load test again"};
  const auto names = component_names();
  for (const auto& [name, ceiling] : input.ceilings) {
    if (std::ranges::find(names, name) == names.end()) {
      std::string known;
      for (const auto& n : names) known += (known.empty() ? "" : ", ") + n;
      return Error{Errc::invalid_argument, "there is no component '" + name + "' with a ceiling",
                   "known: " + known};
    }
    if (!(ceiling > 0)) return bad("the ceiling of " + name + " must be above 0");
  }
  return {};
}

}  // namespace

std::vector<std::string> component_names() {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.emplace_back(kind.name);
  return names;
}

Tier tier_of(double rps) {
  static const Tier tiers[]{
      {"1-100", 1, 3, 50}, {"100-1k", 3, 6, 500}, {"1k-10k", 10, 12, 2000}, {"10k+", 30, 30, 0}};
  for (const Tier& tier : tiers)
    if (rps <= tier.up_to_rps || tier.up_to_rps == 0) return tier;
  return tiers[3];
}

std::optional<double> cost_of(double rps) {
  if (rps <= 50) return 100;  // the demo: the first tier
  if (rps <= 10e3) return 650;
  if (rps <= 100e3) return 2150;
  return std::nullopt;
}

Result<CapacityReport> capacity_report(const Config& config, const ReportInput& input) {
  if (const auto ok = valid(input); !ok) return ok.error();
  CapacityReport report;
  report.measurement = input.measurement;
  report.components = components_of(config, input);
  const auto first = std::ranges::min_element(report.components, {}, &Component::carries_rps);
  report.binding = first->name;
  report.carries_rps = first->carries_rps();
  for (const double rps : input.loads) report.loads.push_back(plan_for(config, input, report, rps));
  if (config.engines.event_log == EventLogEngine::embedded || config.engines.ledger == LedgerEngine::embedded)
    report.notes.push_back(
        "the configured engines are embedded, which is one machine; redis, partition and postgres rows are "
        "about the "
        "distributed engines");
  if (!input.measurement)
    report.notes.push_back(
        "no measurement: ceilings are defaults; measure with 'flux loadtest --out FILE' and give --from "
        "FILE");
  else if (input.measurement->first_saturated)
    report.notes.push_back("the run saturated " + *input.measurement->first_saturated + " first");
  if (input.order_share == 1)
    report.notes.push_back(
        "every request counts as an order and all orders may hit one hot product: the worst case; see "
        "--order-share");
  return report;
}

}  // namespace flux::capacity
