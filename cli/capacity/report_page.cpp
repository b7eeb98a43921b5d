// A capacity report as one page to send around.

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/capacity/capacity_report.hpp"
#include "common/core/units.hpp"

namespace flux::capacity {
namespace {

constexpr const char* kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>flux capacity report</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #ffffff; --card: #f6f8fa;
        --good: #1a7f37; --warn: #9a6700; --bad: #cf222e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117; --card: #151b23;
          --good: #3fb950; --warn: #d29922; --bad: #f85149; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, .left { text-align: left; } th { color: var(--soft); font-weight: 600; }
.bar { background: var(--card); border: 1px solid var(--line); border-radius: 3px; height: .8rem; width: 100%; min-width: 8rem; overflow: hidden; }
.bar div { height: 100%; } .good { background: var(--good); } .warn { background: var(--warn); } .bad { background: var(--bad); }
.binding td:first-child { font-weight: 700; } .note { color: var(--soft); } .headline { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; }
code { background: var(--card); padding: .1rem .3rem; border-radius: 3px; }
</style></head><body>
<h1>flux capacity report</h1>
)";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  return out;
}

std::string cell(const std::string& text) {
  return "<td>" + escaped(text) + "</td>";
}
std::string paragraph(const char* kind, const std::string& text) {
  return "<p class=\"" + std::string(kind) + "\">" + escaped(text) + "</p>\n";
}

std::string bar(double used) {
  char text[160];
  std::snprintf(
      text, sizeof text,
      "<td>%.0f %%</td><td class=\"left\"><div class=\"bar\" title=\"%.0f %% of what is configured\"><div "
      "class=\"%s\" style=\"width:%.1f%%\"></div></div></td>",
      100 * used, 100 * used,
      used > 1     ? "bad"
      : used > 0.7 ? "warn"
                   : "good",
      100 * std::min(1.0, used));
  return text;
}

std::string units(const std::optional<std::int64_t>& n) {
  return n ? std::to_string(*n) : "–";
}

std::string plan_section(const CapacityReport& report, const LoadPlan& plan) {
  std::string html = "<h2>" + format_count(plan.rps) + " requests/s</h2>\n";
  html += "<p>Binds first: <strong>" + escaped(plan.binding) +
          "</strong>. What replicas do not lift: <strong>" + escaped(plan.hard_limit) + "</strong> (" +
          std::to_string(std::llround(100 * plan.hard_limit_used)) + " % used).";
  if (!plan.cheapest_way.empty()) html += " Cheapest way: <code>" + escaped(plan.cheapest_way) + "</code>";
  html +=
      "</p>\n<table><tr><th>component</th><th>demand/s</th><th>used</th><th></th><th>now</th><th>needed</"
      "th><th>at 70 %</th></tr>\n";
  for (std::size_t i = 0; i < plan.components.size(); ++i) {
    const ComponentLoad& load = plan.components[i];
    html += load.component == plan.binding ? "<tr class=\"binding\">" : "<tr>";
    html += cell(load.component) + cell(format_count(load.demand)) + bar(load.utilization) +
            cell(std::to_string(report.components[i].units)) + cell(units(load.needed)) +
            cell(units(load.with_headroom)) + "</tr>\n";
  }
  html += "</table>\n";
  const auto& client = plan.connections.client;
  html += paragraph(
      "needs",
      "Needs: " + (plan.api_replicas ? std::to_string(*plan.api_replicas) : "an unknown number of") +
          " API replicas, " + std::to_string(plan.workers) + " workers, " + std::to_string(plan.partitions) +
          " partitions, " + std::to_string(client.demand) + " of " + std::to_string(client.limit) +
          " database connections (" + std::string(to_string(plan.connections.verdict)) + "). Tier " +
          plan.tier.users + " users. Cost: " +
          (plan.cost_usd_month
               ? "about $" + std::to_string(static_cast<long long>(*plan.cost_usd_month)) + " a month."
               : "unknown."));
  for (const ComponentLoad& load : plan.components)
    if (!load.refusal.empty()) html += paragraph("note", load.component + ": " + load.refusal);
  for (const auto& note : plan.notes) html += paragraph("note", note);
  return html;
}

}  // namespace

std::string to_html(const CapacityReport& report) {
  std::string html = kHead;
  html += "<p class=\"headline\">As configured: <strong>" + format_count(report.carries_rps) +
          " requests/s</strong>, then <strong>" + escaped(report.binding) + "</strong> binds.";
  if (report.measurement)
    html += " Measured: " + format_count(report.measurement->rps) + " requests/s in <code>" +
            escaped(report.measurement->source) + "</code>.";
  html += "</p>\n";
  for (const LoadPlan& plan : report.loads) html += plan_section(report, plan);
  html +=
      "<h2>Ceilings</h2>\n<table><tr><th>component</th><th>ceiling</th><th>now</th><th "
      "class=\"left\">counted in</th><th class=\"left\">from</th></tr>\n";
  for (const Component& c : report.components)
    html += "<tr>" + cell(c.name) + cell(format_count(c.ceiling)) + cell(std::to_string(c.units)) +
            "<td class=\"left\">" + escaped(c.what) + "</td><td class=\"left\">" + escaped(c.source) +
            "</td></tr>\n";
  html += "</table>\n";
  for (const auto& note : report.notes) html += paragraph("note", note);
  return html + "</body></html>\n";
}

}  // namespace flux::capacity
