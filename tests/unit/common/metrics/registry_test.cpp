#include "common/metrics/registry.hpp"

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

namespace flux {
namespace {

// What `promtool check metrics` insists on, for the parts of the text format that
// we write: one HELP and TYPE per family before its samples, samples of a family
// together, no sample twice, names and labels well formed, cumulative buckets
// that end in +Inf and equal the count, counters named _total and others not.
void check_exposition(const std::string& text) {
  const std::regex sample(
      R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (NaN|[+-]Inf|[-+0-9.e]+))re");
  std::set<std::string> families, samples;
  std::string family, type;
  std::map<std::string, double> last_bucket, counts;
  std::istringstream lines(text);
  ASSERT_TRUE(text.empty() || text.back() == '\n');
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(family).second) << "twice: " << family;
      continue;
    }
    if (line.starts_with("# TYPE ")) {
      ASSERT_TRUE(line.starts_with("# TYPE " + family + " ")) << line;
      type = line.substr(8 + family.size());
      EXPECT_TRUE(type == "counter" || type == "gauge" || type == "histogram") << line;
      EXPECT_EQ(family.ends_with("_total"), type == "counter") << line;
      continue;
    }
    std::smatch parts;
    ASSERT_TRUE(std::regex_match(line, parts, sample)) << line;
    const std::string name = parts[1], labels = parts[2];
    EXPECT_TRUE(samples.insert(name + "{" + labels + "}").second) << "twice: " << line;
    if (type != "histogram") {
      EXPECT_EQ(name, family);
      continue;
    }
    const double value = std::stod(parts[3]);
    const auto le = labels.find("le=\"");
    const std::string series = le == std::string::npos ? labels : labels.substr(0, le == 0 ? 0 : le - 1);
    if (name == family + "_bucket") {
      ASSERT_NE(le, std::string::npos);
      EXPECT_GE(value, last_bucket[series]) << "not cumulative: " << line;
      last_bucket[series] = value;
      if (labels.find("le=\"+Inf\"") != std::string::npos) counts[series] = value;
    } else if (name == family + "_count") {
      ASSERT_TRUE(counts.contains(series)) << "no +Inf bucket: " << line;
      EXPECT_EQ(value, counts[series]);
      last_bucket.erase(series);
      counts.erase(series);
    } else {
      EXPECT_EQ(name, family + "_sum");
    }
  }
  EXPECT_TRUE(counts.empty());
}

TEST(MetricsRegistry, WritesAValidExposition) {
  MetricsRegistry registry;
  registry.counter("flux_requests_total", "Requests.", {{"route", "/v1/orders"}, {"status", "202"}}).add(3);
  registry.gauge("flux_lag_seconds", "Lag\nof \\ loops.").set(0.25);
  registry.counter("flux_requests_total", "ignored", {{"route", "a\"b\\c\nd"}, {"status", "200"}}).add();
  auto& h = registry.histogram("flux_seconds", "Time.", {0.1, 1}, {{"route", "x"}});
  for (const double v : {0.1, 0.5, 7.0}) h.observe(v);
  registry.histogram("flux_seconds", "Time.", {0.1, 1}, {{"route", "y"}});
  register_process_metrics(registry);

  const std::string text = registry.exposition();
  check_exposition(text);
  EXPECT_NE(text.find("# HELP flux_requests_total Requests.\n# TYPE flux_requests_total counter\n"
                      "flux_requests_total{route=\"/v1/orders\",status=\"202\"} 3\n"
                      "flux_requests_total{route=\"a\\\"b\\\\c\\nd\",status=\"200\"} 1\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("# HELP flux_lag_seconds Lag\\nof \\\\ loops.\n"), std::string::npos) << text;
  EXPECT_NE(text.find("flux_seconds_bucket{route=\"x\",le=\"0.1\"} 1\n"
                      "flux_seconds_bucket{route=\"x\",le=\"1\"} 2\n"
                      "flux_seconds_bucket{route=\"x\",le=\"+Inf\"} 3\n"
                      "flux_seconds_sum{route=\"x\"} 7.6\nflux_seconds_count{route=\"x\"} 3\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("# TYPE process_cpu_seconds_total counter\n"), std::string::npos) << text;
}

TEST(MetricsRegistry, SameNameAndLabelsIsTheSameMetric) {
  MetricsRegistry registry;
  EXPECT_EQ(&registry.counter("a_total", "A.", {{"x", "1"}}),
            &registry.counter("a_total", "A.", {{"x", "1"}}));
  EXPECT_NE(&registry.counter("a_total", "A.", {{"x", "1"}}),
            &registry.counter("a_total", "A.", {{"x", "2"}}));
  EXPECT_THROW(registry.gauge("a_total", "A."), std::logic_error);
}

TEST(MetricsRegistry, RefreshesBeforeItIsRead) {
  MetricsRegistry registry;
  int calls = 0;
  registry.before_exposition([&] { registry.gauge("g", "G.").set(++calls); });
  EXPECT_NE(registry.exposition().find("\ng 1\n"), std::string::npos);
  EXPECT_NE(registry.exposition().find("\ng 2\n"), std::string::npos);
}

TEST(MetricsRegistry, LosesNoUpdateOfSeveralThreads) {
  MetricsRegistry registry;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 10000; ++i) {
          registry.counter("n_total", "N.").add();
          registry.histogram("h", "H.", {1, 2}).observe(1.5);
          if (i % 1000 == 0) check_exposition(registry.exposition());
        }
      });
  }
  EXPECT_EQ(registry.counter("n_total", "N.").value(), 40000u);
  EXPECT_EQ(registry.histogram("h", "H.", {}).counts()[1], 40000u);
  EXPECT_DOUBLE_EQ(registry.histogram("h", "H.", {}).sum(), 60000.0);
}

}  // namespace
}  // namespace flux
