// RunResult as JSON (schema flux.loadtest/1) and back.

#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <sstream>

#include "cli/loadtest/result.hpp"

namespace flux::loadtest {
namespace {

namespace json = boost::json;

// Three decimals of a millisecond are a microsecond; more would only be noise in the file.
double rounded(double value, double steps = 1e4) {
  return std::round(value * steps) / steps;
}

using LatencyField = std::pair<const char*, double LatencySummary::*>;
constexpr LatencyField kLatencyFields[] = {
    {"min", &LatencySummary::min}, {"mean", &LatencySummary::mean},   {"p50", &LatencySummary::p50},
    {"p75", &LatencySummary::p75}, {"p90", &LatencySummary::p90},     {"p95", &LatencySummary::p95},
    {"p99", &LatencySummary::p99}, {"p99_9", &LatencySummary::p99_9}, {"max", &LatencySummary::max}};

using PointField = std::pair<const char*, double TimelinePoint::*>;
constexpr PointField kPointFields[] = {{"t_s", &TimelinePoint::t_s},
                                       {"rps", &TimelinePoint::rps},
                                       {"p50", &TimelinePoint::p50},
                                       {"p95", &TimelinePoint::p95},
                                       {"p99", &TimelinePoint::p99},
                                       {"service_p50", &TimelinePoint::service_p50},
                                       {"service_p95", &TimelinePoint::service_p95},
                                       {"service_p99", &TimelinePoint::service_p99}};

using GeneratorField = std::pair<const char*, double GeneratorReport::*>;
constexpr GeneratorField kGeneratorFields[] = {
    {"cpu_percent", &GeneratorReport::cpu_percent},
    {"max_send_lag_ms", &GeneratorReport::max_send_lag_ms},
    {"busiest_thread_percent", &GeneratorReport::busiest_thread_percent},
    {"run_queue_wait_percent", &GeneratorReport::run_queue_wait_percent},
    {"steal_percent", &GeneratorReport::steal_percent},
    {"send_lag_p50_ms", &GeneratorReport::send_lag_p50_ms},
    {"send_lag_p99_ms", &GeneratorReport::send_lag_p99_ms},
    {"loop_lag_p50_ms", &GeneratorReport::loop_lag_p50_ms},
    {"loop_lag_p99_ms", &GeneratorReport::loop_lag_p99_ms},
    {"max_loop_lag_ms", &GeneratorReport::max_loop_lag_ms},
    {"calibrated_rps", &GeneratorReport::calibrated_rps}};

json::object latency_json(const LatencySummary& latency) {
  json::object out;
  for (const auto& [name, field] : kLatencyFields) out[name] = rounded(latency.*field);
  return out;
}

json::object latency_json(const LatencyPair& pair) {
  return {{"service", latency_json(pair.service)}, {"response", latency_json(pair.response)}};
}

template <class Map>
json::object map_json(const Map& map) {
  json::object out;
  for (const auto& [key, value] : map) {
    if constexpr (std::is_convertible_v<decltype(key), std::string_view>)
      out[key] = value;
    else
      out[std::to_string(key)] = value;
  }
  return out;
}

json::array points_json(const std::vector<std::pair<double, double>>& points) {
  json::array out;
  for (const auto& [x, y] : points) out.push_back(json::array{rounded(x), rounded(y)});
  return out;
}

json::array by_name_json(const std::vector<NameResult>& names) {
  json::array out;
  for (const NameResult& name : names)
    out.push_back({{"name", name.name},
                   {"tags", map_json(name.tags)},
                   {"requests", name.requests},
                   {"rps", rounded(name.rps)},
                   {"latency_ms", latency_json(name.latency)},
                   {"errors", name.errors},
                   {"errors_by_kind", map_json(name.errors_by_kind)}});
  return out;
}

json::array timeline_json(const std::vector<TimelinePoint>& timeline) {
  json::array out;
  for (const TimelinePoint& point : timeline) {
    json::object one{{"users", point.users}, {"errors", point.errors}};
    for (const auto& [name, field] : kPointFields) one[name] = rounded(point.*field);
    out.push_back(std::move(one));
  }
  return out;
}

json::object generator_json(const GeneratorReport& generator) {
  json::object out{{"verdict", to_string(generator.verdict)},
                   {"reasons", json::value_from(generator.reasons)},
                   {"threads", generator.threads},
                   {"connections", generator.connections},
                   {"peak_rss_bytes", generator.peak_rss_bytes}};
  for (const auto& [name, field] : kGeneratorFields) out[name] = rounded(generator.*field);
  return out;
}

json::object watch_json(const WatchReport& watch) {
  json::object out;
  if (watch.first_saturated) out["first_saturated"] = *watch.first_saturated;
  if (watch.drain_s) out["drain_s"] = *watch.drain_s;
  json::array series;
  for (const WatchSeries& one : watch.series)
    series.push_back({{"name", one.name},
                      {"resource", one.resource},
                      {"unit", one.unit},
                      {"points", points_json(one.points)}});
  out["series"] = std::move(series);
  return out;
}

// Reading. Missing fields keep their defaults, so that older files still read.
const json::value* find(const json::value& from, const char* key) {
  return from.is_object() ? from.get_object().if_contains(key) : nullptr;
}

void read(const json::value& from, const char* key, double& out) {
  if (const auto* value = find(from, key); value != nullptr && value->is_number())
    out = value->to_number<double>();
}

template <class Integer>
requires std::is_integral_v<Integer>
void read(const json::value& from, const char* key, Integer& out) {
  const auto* value = find(from, key);
  if (value == nullptr) return;
  if constexpr (std::is_same_v<Integer, bool>) {
    if (value->is_bool()) out = value->get_bool();
  } else if (value->is_number()) {
    boost::system::error_code ec;
    const auto number = value->to_number<Integer>(ec);
    if (!ec) out = number;
  }
}

void read(const json::value& from, const char* key, std::string& out) {
  if (const auto* value = find(from, key); value != nullptr && value->is_string())
    out = value->get_string().c_str();
}

void read(const json::value& from, const char* key, LatencyPair& out) {
  const auto* pair = find(from, key);
  if (pair == nullptr) return;
  for (const auto& [which, summary] :
       {std::pair{"service", &out.service}, std::pair{"response", &out.response}})
    if (const auto* values = find(*pair, which); values != nullptr)
      for (const auto& [name, field] : kLatencyFields) read(*values, name, summary->*field);
}

template <class Map>
void read_map(const json::value& from, const char* key, Map& out) {
  const auto* value = find(from, key);
  if (value == nullptr || !value->is_object()) return;
  for (const auto& member : value->get_object()) {
    if constexpr (std::is_same_v<typename Map::mapped_type, std::string>) {
      if (member.value().is_string()) out[std::string(member.key())] = member.value().get_string().c_str();
    } else if (member.value().is_number()) {
      boost::system::error_code ec;
      const auto number = member.value().to_number<std::uint64_t>(ec);
      if constexpr (std::is_same_v<typename Map::key_type, unsigned>)
        out[static_cast<unsigned>(std::atoi(std::string(member.key()).c_str()))] = number;
      else
        out[std::string(member.key())] = number;
    }
  }
}

template <class Each>
void each(const json::value& from, const char* key, Each&& use) {
  if (const auto* list = find(from, key); list != nullptr && list->is_array())
    for (const json::value& item : list->get_array()) use(item);
}

void read_points(const json::value& from, const char* key, std::vector<std::pair<double, double>>& out) {
  each(from, key, [&](const json::value& pair) {
    if (pair.is_array() && pair.get_array().size() == 2 && pair.get_array()[0].is_number() &&
        pair.get_array()[1].is_number())
      out.emplace_back(pair.get_array()[0].to_number<double>(), pair.get_array()[1].to_number<double>());
  });
}

void read_generator(const json::value& from, GeneratorReport& out) {
  for (const auto& [name, field] : kGeneratorFields) read(from, name, out.*field);
  std::string verdict;
  read(from, "verdict", verdict);
  for (const Verdict each_verdict : {Verdict::valid, Verdict::generator_bound, Verdict::network_bound})
    if (to_string(each_verdict) == verdict) out.verdict = each_verdict;
  each(from, "reasons", [&](const json::value& reason) {
    if (reason.is_string()) out.reasons.emplace_back(reason.get_string().c_str());
  });
  read(from, "threads", out.threads);
  read(from, "connections", out.connections);
  read(from, "peak_rss_bytes", out.peak_rss_bytes);
}

void read_lists(const json::value& root, RunResult& result) {
  each(root, "by_name", [&](const json::value& item) {
    NameResult name;
    read(item, "name", name.name);
    read_map(item, "tags", name.tags);
    read(item, "requests", name.requests);
    read(item, "rps", name.rps);
    read(item, "latency_ms", name.latency);
    read(item, "errors", name.errors);
    read_map(item, "errors_by_kind", name.errors_by_kind);
    result.by_name.push_back(std::move(name));
  });
  each(root, "timeline", [&](const json::value& item) {
    TimelinePoint point;
    for (const auto& [name, field] : kPointFields) read(item, name, point.*field);
    read(item, "users", point.users);
    read(item, "errors", point.errors);
    result.timeline.push_back(point);
  });
  each(root, "thresholds", [&](const json::value& item) {
    ThresholdResult threshold;
    read(item, "expr", threshold.expression);
    read(item, "value", threshold.value);
    read(item, "ok", threshold.ok);
    result.thresholds.push_back(std::move(threshold));
  });
}

void read_watch(const json::value& from, WatchReport& watch) {
  if (const auto* first = find(from, "first_saturated"); first != nullptr && first->is_string())
    watch.first_saturated = first->get_string().c_str();
  if (const auto* drain = find(from, "drain_s"); drain != nullptr && drain->is_number())
    watch.drain_s = drain->to_number<double>();
  each(from, "series", [&](const json::value& item) {
    WatchSeries series;
    read(item, "name", series.name);
    read(item, "resource", series.resource);
    read(item, "unit", series.unit);
    read_points(item, "points", series.points);
    watch.series.push_back(std::move(series));
  });
}

}  // namespace

std::string to_json(const RunResult& r) {
  json::array thresholds;
  for (const ThresholdResult& t : r.thresholds)
    thresholds.push_back({{"expr", t.expression}, {"value", rounded(t.value, 1e6)}, {"ok", t.ok}});
  json::object out{{"schema", "flux.loadtest/1"},
                   {"target", r.target},
                   {"scenario", r.scenario},
                   {"started_at", r.started_at},
                   {"seed", r.seed},
                   {"users", r.users},
                   {"think_ms", {{"min", r.think_min_ms}, {"max", r.think_max_ms}}},
                   {"duration_s", rounded(r.duration_s)},
                   {"warmup_s", rounded(r.warmup_s)},
                   {"interrupted", r.interrupted},
                   {"requests", r.requests},
                   {"rps", rounded(r.rps)},
                   {"bytes_in", r.bytes_in},
                   {"bytes_out", r.bytes_out},
                   {"latency_ms", latency_json(r.latency)},
                   {"errors",
                    {{"total", r.errors},
                     {"rate", rounded(r.error_rate(), 1e9)},
                     {"by_kind", map_json(r.errors_by_kind)},
                     {"example", r.first_error}}},
                   {"checks", {{"passed", r.checks_passed}, {"failed", r.checks_failed}}},
                   {"status", map_json(r.statuses)},
                   {"by_name", by_name_json(r.by_name)},
                   {"timeline", timeline_json(r.timeline)},
                   {"thresholds", std::move(thresholds)},
                   {"generator", generator_json(r.generator)},
                   {"watch", watch_json(r.watch)},
                   {"distribution",
                    {{"service", points_json(r.service_distribution)},
                     {"response", points_json(r.response_distribution)}}},
                   {"machine",
                    {{"host", r.machine.host},
                     {"cpu", r.machine.cpu},
                     {"cores", r.machine.cores},
                     {"memory_bytes", r.machine.memory_bytes},
                     {"kernel", r.machine.kernel}}}};
  if (r.baseline) out["baseline"] = json::parse(comparison_json(*r.baseline));
  if (r.aborted_by) out["aborted_by"] = *r.aborted_by;
  if (r.rate)
    out["rate"] = {{"asked", rounded(r.rate->asked)},
                   {"sent", rounded(r.rate->sent)},
                   {"unsent", r.rate->unsent},
                   {"met", r.rate->met}};
  return json::serialize(out);
}

Result<RunResult> parse_result(const std::string& text, const std::string& source) {
  json::error_code ec;
  const json::value root = json::parse(text, ec);
  std::string schema;
  if (!ec) read(root, "schema", schema);
  if (schema != "flux.loadtest/1")
    return Error{Errc::invalid_argument, source + " is not a result of flux loadtest",
                 "write one with flux loadtest --out FILE.json"};
  RunResult r;
  read(root, "target", r.target);
  read(root, "scenario", r.scenario);
  read(root, "started_at", r.started_at);
  read(root, "seed", r.seed);
  read(root, "users", r.users);
  if (const auto* think = find(root, "think_ms"); think != nullptr) {
    read(*think, "min", r.think_min_ms);
    read(*think, "max", r.think_max_ms);
  }
  read(root, "duration_s", r.duration_s);
  read(root, "warmup_s", r.warmup_s);
  read(root, "interrupted", r.interrupted);
  if (std::string aborted; find(root, "aborted_by") != nullptr) {
    read(root, "aborted_by", aborted);
    r.aborted_by = aborted;
  }
  read(root, "requests", r.requests);
  read(root, "rps", r.rps);
  read(root, "bytes_in", r.bytes_in);
  read(root, "bytes_out", r.bytes_out);
  read(root, "latency_ms", r.latency);
  if (const auto* errors = find(root, "errors"); errors != nullptr) {
    read(*errors, "total", r.errors);
    read_map(*errors, "by_kind", r.errors_by_kind);
    read(*errors, "example", r.first_error);
  }
  if (const auto* checks = find(root, "checks"); checks != nullptr) {
    read(*checks, "passed", r.checks_passed);
    read(*checks, "failed", r.checks_failed);
  }
  read_map(root, "status", r.statuses);
  read_lists(root, r);
  if (const auto* generator = find(root, "generator"); generator != nullptr)
    read_generator(*generator, r.generator);
  if (const auto* watch = find(root, "watch"); watch != nullptr) read_watch(*watch, r.watch);
  if (const auto* rate = find(root, "rate"); rate != nullptr) {
    r.rate.emplace();
    read(*rate, "asked", r.rate->asked);
    read(*rate, "sent", r.rate->sent);
    read(*rate, "unsent", r.rate->unsent);
    read(*rate, "met", r.rate->met);
  }
  if (const auto* shape = find(root, "distribution"); shape != nullptr) {
    read_points(*shape, "service", r.service_distribution);
    read_points(*shape, "response", r.response_distribution);
  }
  if (const auto* machine = find(root, "machine"); machine != nullptr) {
    read(*machine, "host", r.machine.host);
    read(*machine, "cpu", r.machine.cpu);
    read(*machine, "cores", r.machine.cores);
    read(*machine, "memory_bytes", r.machine.memory_bytes);
    read(*machine, "kernel", r.machine.kernel);
  }
  return r;
}

Result<RunResult> load_result(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return Error{Errc::invalid_argument, "cannot read result " + file, "write one with flux loadtest --out"};
  std::ostringstream text;
  text << in.rdbuf();
  return parse_result(text.str(), file);
}

}  // namespace flux::loadtest
