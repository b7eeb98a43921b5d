#include "cli/loadtest/measurement.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace flux::loadtest {
namespace {

constexpr std::int64_t kSlotsPerSecond = 4;

double ms(std::int64_t ns) {
  return static_cast<double>(ns) / 1e6;
}

}  // namespace

bool selects(const std::string& selector, const RequestName& name) {
  if (selector.empty()) return true;
  const auto colon = selector.find(':');
  if (colon == std::string::npos) return selector == name.name;
  const std::string key = selector.substr(0, colon);
  const std::string value = selector.substr(colon + 1);
  if (key == "name") return value == name.name;
  const auto tag = name.tags.find(key);
  return tag != name.tags.end() && tag->second == value;
}

std::uint64_t NameTotals::requests() const {
  return std::accumulate(outcomes.begin(), outcomes.end(), std::uint64_t{0});
}

void NameTotals::merge(const NameTotals& other) {
  service.merge(other.service);
  response.merge(other.response);
  for (std::size_t i = 0; i < outcomes.size(); ++i) outcomes[i] += other.outcomes[i];
  checks_passed += other.checks_passed;
  checks_failed += other.checks_failed;
}

Measurement::Measurement(const std::vector<RequestName>& names, std::uint32_t threads)
    : names_(names.size()), users_(threads), last_slot_(threads, -1) {
  for (std::size_t i = 0; i < names.size(); ++i) names_[i].name = names[i];
}

void Measurement::add(const IntervalReport& report) {
  SecondTotals& second = open_[report.slot / kSlotsPerSecond];
  users_[report.thread] = report.users;
  last_slot_[report.thread] = report.last ? std::numeric_limits<std::int64_t>::max() : report.slot;
  second.users = std::max(second.users, users());
  for (std::size_t i = 0; i < report.names.size(); ++i) {
    const NameReport& from = report.names[i];
    NameTotals& to = names_[i];
    to.service.merge(from.service);
    to.response.merge(from.response);
    second.service.merge(from.service);
    second.response.merge(from.response);
    for (std::size_t kind = 0; kind < from.outcomes.size(); ++kind) {
      to.outcomes[kind] += from.outcomes[kind];
      second.requests += from.outcomes[kind];
      if (kind != 0) second.errors += from.outcomes[kind];
    }
    to.checks_passed += from.checks_passed;
    to.checks_failed += from.checks_failed;
  }
  for (const auto& [status, count] : report.statuses) statuses_[status] += count;
  bytes_in_ += report.bytes_in;
  bytes_out_ += report.bytes_out;
}

void Measurement::close(std::int64_t number, double length_s) {
  const SecondTotals& second = open_.at(number);
  TimelinePoint point;
  point.t_s = static_cast<double>(number) + length_s;
  point.users = second.users;
  point.rps = static_cast<double>(second.requests) / length_s;
  point.p50 = ms(second.response.percentile(50));
  point.p95 = ms(second.response.percentile(95));
  point.p99 = ms(second.response.percentile(99));
  point.service_p50 = ms(second.service.percentile(50));
  point.service_p95 = ms(second.service.percentile(95));
  point.service_p99 = ms(second.service.percentile(99));
  point.errors = second.errors;
  timeline_.push_back(point);
  open_.erase(number);
}

void Measurement::close_finished_seconds() {
  const std::int64_t reported = *std::min_element(last_slot_.begin(), last_slot_.end());
  // With every thread ended, the last second may not be a whole one: that is for close_all().
  if (reported == std::numeric_limits<std::int64_t>::max()) return;
  while (!open_.empty() && (open_.begin()->first + 1) * kSlotsPerSecond - 1 <= reported)
    close(open_.begin()->first, 1);
}

void Measurement::close_all(double length_s) {
  while (!open_.empty()) {
    const std::int64_t number = open_.begin()->first;
    const double rest = std::clamp(length_s - static_cast<double>(number), 0.0, 1.0);
    // A sliver of a second says nothing about a rate.
    if (rest < 0.05 && !timeline_.empty())
      open_.erase(number);
    else
      close(number, std::max(rest, 0.001));
  }
}

NameTotals Measurement::totals(const std::string& selector) const {
  NameTotals sum;
  for (const NameTotals& each : names_)
    if (selects(selector, each.name)) sum.merge(each);
  return sum;
}

bool Measurement::knows(const std::string& selector) const {
  return std::any_of(names_.begin(), names_.end(),
                     [&](const NameTotals& n) { return selects(selector, n.name); });
}

std::uint32_t Measurement::users() const {
  return std::accumulate(users_.begin(), users_.end(), std::uint32_t{0});
}

}  // namespace flux::loadtest
