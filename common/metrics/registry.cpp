#include "common/metrics/registry.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <variant>

namespace flux {
namespace {

using Metric = std::variant<std::unique_ptr<Counter>, std::unique_ptr<SampledCounter>, std::unique_ptr<Gauge>,
                            std::unique_ptr<Histogram>>;

void append_number(std::string& out, double v) {
  if (std::isnan(v)) {
    out += "NaN";
  } else if (std::isinf(v)) {
    out += v > 0 ? "+Inf" : "-Inf";
  } else {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
    out.append(buffer, end);
  }
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quotes)
      out += "\\\"";
    else
      out += c;
  }
}

// `route="/v1/orders",status="202"`; the part between the braces.
std::string rendered(const MetricLabels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!out.empty()) out += ',';
    out += name;
    out += "=\"";
    append_escaped(out, value, true);
    out += '"';
  }
  return out;
}

void append_sample(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
                   std::string_view bound, double value) {
  out += name;
  out += suffix;
  if (!labels.empty() || !bound.empty()) {
    out += '{';
    out += labels;
    if (!bound.empty()) {
      if (!labels.empty()) out += ',';
      out += "le=\"";
      out += bound;
      out += '"';
    }
    out += '}';
  }
  out += ' ';
  append_number(out, value);
  out += '\n';
}

void append_histogram(std::string& out, std::string_view name, std::string_view labels, const Histogram& h) {
  const auto counts = h.counts();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    std::string bound;
    if (i < h.bounds().size())
      append_number(bound, h.bounds()[i]);
    else
      bound = "+Inf";
    append_sample(out, name, "_bucket", labels, bound, static_cast<double>(total));
  }
  append_sample(out, name, "_sum", labels, "", h.sum());
  append_sample(out, name, "_count", labels, "", static_cast<double>(total));
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)),
      counts_(std::make_unique<std::atomic<std::uint64_t>[]>(bounds_.size() + 1)) {}

void Histogram::observe(double v) {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin();
  counts_[static_cast<std::size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

std::vector<std::uint64_t> Histogram::counts() const {
  std::vector<std::uint64_t> out(bounds_.size() + 1);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = counts_[i].load(std::memory_order_relaxed);
  return out;
}

std::vector<double> latency_bounds() {
  return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
}

struct MetricsRegistry::Family {
  std::string name;
  std::string help;
  std::vector<std::pair<std::string, Metric>> metrics{};  // by rendered labels
};

MetricsRegistry::MetricsRegistry() = default;
MetricsRegistry::~MetricsRegistry() = default;

template <class T, class... Args>
T& MetricsRegistry::find(std::string_view name, std::string_view help, const MetricLabels& labels,
                         const Args&... args) {
  const std::lock_guard lock(mutex_);
  auto family = std::ranges::find(families_, name, [](const auto& f) { return std::string_view(f->name); });
  if (family == families_.end())
    family = families_.insert(families_.end(),
                              std::make_unique<Family>(Family{std::string(name), std::string(help)}));
  const std::string key = rendered(labels);
  auto& metrics = (*family)->metrics;
  // One family has one type, or the exposition would be invalid.
  if (!metrics.empty() && !std::holds_alternative<std::unique_ptr<T>>(metrics.front().second))
    throw std::logic_error("metric " + std::string(name) + " has two types");
  auto metric = std::ranges::find(metrics, key, [](const auto& m) { return m.first; });
  if (metric == metrics.end()) metric = metrics.insert(metrics.end(), {key, std::make_unique<T>(args...)});
  return *std::get<std::unique_ptr<T>>(metric->second);
}

Counter& MetricsRegistry::counter(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return find<Counter>(name, help, labels);
}

SampledCounter& MetricsRegistry::sampled_counter(std::string_view name, std::string_view help,
                                                 const MetricLabels& labels) {
  return find<SampledCounter>(name, help, labels);
}

Gauge& MetricsRegistry::gauge(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return find<Gauge>(name, help, labels);
}

Histogram& MetricsRegistry::histogram(std::string_view name, std::string_view help,
                                      const std::vector<double>& bounds, const MetricLabels& labels) {
  return find<Histogram>(name, help, labels, bounds);
}

void MetricsRegistry::before_exposition(std::function<void()> refresh) {
  const std::lock_guard lock(mutex_);
  refreshers_.push_back(std::move(refresh));
}

std::string MetricsRegistry::exposition() {
  std::vector<std::function<void()>> refreshers;
  {
    const std::lock_guard lock(mutex_);
    refreshers = refreshers_;
  }
  for (const auto& refresh : refreshers) refresh();  // outside the lock: they may look metrics up

  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& family : families_) {
    constexpr std::string_view kTypes[] = {"counter", "counter", "gauge", "histogram"};
    out += "# HELP " + family->name + ' ';
    append_escaped(out, family->help, false);
    out += "\n# TYPE " + family->name + ' ';
    out += kTypes[family->metrics.front().second.index()];
    out += '\n';
    for (const auto& [labels, metric] : family->metrics) {
      if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&metric))
        append_sample(out, family->name, "", labels, "", static_cast<double>((*counter)->value()));
      else if (const auto* sampled = std::get_if<std::unique_ptr<SampledCounter>>(&metric))
        append_sample(out, family->name, "", labels, "", (*sampled)->value());
      else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&metric))
        append_sample(out, family->name, "", labels, "", (*gauge)->value());
      else
        append_histogram(out, family->name, labels, *std::get<std::unique_ptr<Histogram>>(metric));
    }
  }
  return out;
}

}  // namespace flux
