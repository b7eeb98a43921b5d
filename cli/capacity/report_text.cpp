// A capacity report for people at a terminal and for programs.

#include <boost/json.hpp>
#include <cstdio>

#include "cli/capacity/capacity_report.hpp"
#include "common/core/units.hpp"

namespace flux::capacity {
namespace {

namespace json = boost::json;

template <class... Args>
std::string line(const char* format, Args... args) {
  char text[400];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

std::string units(const std::optional<std::int64_t>& n) {
  return n ? std::to_string(*n) : "-";
}

std::string plan_text(const CapacityReport& report, const LoadPlan& plan) {
  std::string text =
      "\n" + format_count(plan.rps) + " requests/s\n" +
      line("  %-13s %10s %8s %8s %8s %9s\n", "component", "demand/s", "used", "now", "needed", "at 70 %");
  for (std::size_t i = 0; i < plan.components.size(); ++i) {
    const ComponentLoad& load = plan.components[i];
    text += line("%c %-13s %10s %7.0f%% %8lld %8s %9s\n", load.component == plan.binding ? '>' : ' ',
                 load.component.c_str(), format_count(load.demand).c_str(), 100 * load.utilization,
                 static_cast<long long>(report.components[i].units), units(load.needed).c_str(),
                 units(load.with_headroom).c_str());
  }
  for (const ComponentLoad& load : plan.components)
    if (!load.refusal.empty()) text += "  " + load.component + ": " + load.refusal + "\n";
  const auto& client = plan.connections.client;
  text += line("  needs: api %s, workers %lld, partitions %lld, connections %lld of %lld (%s)\n",
               plan.api_replicas ? std::to_string(*plan.api_replicas).c_str() : "unknown",
               static_cast<long long>(plan.workers), static_cast<long long>(plan.partitions),
               static_cast<long long>(client.demand), static_cast<long long>(client.limit),
               std::string(to_string(plan.connections.verdict)).c_str());
  text += "  binds first: " + plan.binding + "; what replicas do not lift: " + plan.hard_limit +
          line(" (%.0f%% used)\n", 100 * plan.hard_limit_used);
  if (!plan.cheapest_way.empty()) text += "  cheapest way: " + plan.cheapest_way + "\n";
  text += "  tier: " + plan.tier.users + " users (" + std::to_string(plan.tier.workers) + " workers, " +
          std::to_string(plan.tier.partitions) + " partitions); cost: " +
          (plan.cost_usd_month ? line("about $%.0f a month", *plan.cost_usd_month) : std::string("unknown")) +
          "\n";
  for (const auto& note : plan.notes) text += "  note: " + note + "\n";
  return text;
}

json::value number(const std::optional<std::int64_t>& n) {
  return n ? json::value(*n) : json::value();
}

json::array strings(const std::vector<std::string>& from) {
  json::array out;
  for (const auto& text : from) out.emplace_back(text);
  return out;
}

json::object plan_json(const LoadPlan& plan) {
  json::array components;
  for (const ComponentLoad& load : plan.components) {
    json::object entry{{"component", load.component},
                       {"demand", load.demand},
                       {"utilization", load.utilization},
                       {"needed", number(load.needed)},
                       {"with_headroom", number(load.with_headroom)}};
    if (!load.refusal.empty()) entry["refusal"] = load.refusal;
    components.push_back(std::move(entry));
  }
  const auto& client = plan.connections.client;
  return {
      {"rps", plan.rps},
      {"binding", plan.binding},
      {"hard_limit", {{"name", plan.hard_limit}, {"utilization", plan.hard_limit_used}}},
      {"cheapest_way", plan.cheapest_way},
      {"components", std::move(components)},
      {"replicas", {{"api", number(plan.api_replicas)}, {"workers", plan.workers}}},
      {"partitions", plan.partitions},
      {"connections",
       {{"demand", client.demand},
        {"limit", client.limit},
        {"verdict", to_string(plan.connections.verdict)},
        {"advice", strings(plan.connections.advice)}}},
      {"tier",
       {{"users", plan.tier.users}, {"workers", plan.tier.workers}, {"partitions", plan.tier.partitions}}},
      {"cost_usd_month", plan.cost_usd_month ? json::value(*plan.cost_usd_month) : json::value()},
      {"notes", strings(plan.notes)}};
}

}  // namespace

std::string to_text(const CapacityReport& report) {
  std::string text = line("%-13s %12s %8s  %s\n", "component", "ceiling", "now", "counted in");
  for (const Component& c : report.components)
    text += line("%-13s %12s %8lld  %s (%s)\n", c.name.c_str(), format_count(c.ceiling).c_str(),
                 static_cast<long long>(c.units), c.what.c_str(), c.source.c_str());
  text += "\nas configured: " + format_count(report.carries_rps) + " requests/s, then " + report.binding +
          " binds\n";
  for (const LoadPlan& plan : report.loads) text += plan_text(report, plan);
  for (const auto& note : report.notes) text += "\nnote: " + note;
  return text + "\n";
}

std::string to_json(const CapacityReport& report) {
  json::array components;
  for (const Component& c : report.components)
    components.push_back({{"component", c.name},
                          {"ceiling", c.ceiling},
                          {"unit", c.what},
                          {"per_request", c.per_request},
                          {"configured", c.units},
                          {"carries_rps", c.carries_rps()},
                          {"source", c.source}});
  json::array loads;
  for (const LoadPlan& plan : report.loads) loads.push_back(plan_json(plan));
  json::object out{{"schema", "flux.capacity/1"},
                   {"as_configured", {{"carries_rps", report.carries_rps}, {"binding", report.binding}}},
                   {"components", std::move(components)},
                   {"loads", std::move(loads)},
                   {"notes", strings(report.notes)}};
  if (report.measurement)
    out["measurement"] = {{"source", report.measurement->source}, {"rps", report.measurement->rps}};
  return json::serialize(out);
}

}  // namespace flux::capacity
