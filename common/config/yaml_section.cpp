#include "common/config/yaml_section.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

namespace flux {

void YamlSource::fail(const YAML::Node& at, const std::string& message, const std::string& hint) {
  if (error) return;
  const int line = at.Mark().line + 1;
  const std::string column = columns ? ":" + std::to_string(at.Mark().column + 1) : "";
  error = Error{Errc::invalid_argument,
                name + (line > 0 ? ":" + std::to_string(line) + column : "") + ": " + message, hint};
}

Result<std::string> interpolate_environment(std::string_view text) {
  std::string out;
  while (true) {
    const auto start = text.find("${");
    if (start == std::string_view::npos) break;
    const auto end = text.find('}', start);
    if (end == std::string_view::npos)
      return Error{Errc::invalid_argument, "'${' without '}'", "write ${NAME} or ${NAME:-default}"};
    out += text.substr(0, start);
    const std::string_view inside = text.substr(start + 2, end - start - 2);
    if (inside.empty() || inside.starts_with(":-") || inside.find("${") != std::string_view::npos)
      return Error{Errc::invalid_argument,
                   "cannot interpolate '" + std::string(text.substr(start, end - start + 1)) + "'",
                   "write ${NAME} or ${NAME:-default}, not nested"};
    const auto colon = inside.find(":-");
    const std::string name(inside.substr(0, colon));
    const char* value = std::getenv(name.c_str());
    if (value != nullptr && (*value != '\0' || colon == std::string_view::npos))
      out += value;
    else if (colon != std::string_view::npos)
      out += inside.substr(colon + 2);
    else
      return Error{Errc::invalid_argument, "environment variable " + name + " is not set",
                   "set it, or write ${" + name + ":-default}"};
    text.remove_prefix(end + 1);
  }
  out += text;
  return out;
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  const auto distance = [](std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < b.size(); ++j) {
        const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
      }
    }
    return row.back();
  };
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 2) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t d = distance(name, candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

YamlSection::YamlSection(YamlSource& source, const YAML::Node& node, std::string path)
    : source_(source), node_(node), path_(std::move(path)) {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap()) {
    source_.fail(node_, (path_.empty() ? std::string("the file") : path_.substr(0, path_.size() - 1)) +
                            " must be a mapping of keys to values");
    node_ = YAML::Node(YAML::NodeType::Map);
  }
  std::set<std::string> seen;
  for (const auto& entry : node_)
    if (entry.first.IsScalar() && !seen.insert(entry.first.Scalar()).second)
      source_.fail(entry.first, "key '" + path_ + entry.first.Scalar() + "' is there twice",
                   "keep one of them");
}

bool YamlSection::has(const char* key) const {
  return node_.IsMap() && node_[key].IsDefined();
}

YAML::Node YamlSection::take(const char* key) {
  known_.insert(key);
  if (!has(key)) return YAML::Node(YAML::NodeType::Undefined);
  YAML::Node node = node_[key];
  source_.lines[path_ + key] = node.Mark().line + 1;
  return node;
}

bool YamlSection::scalar_text(const YAML::Node& node, const std::string& where, std::string& out) {
  if (!node.IsScalar()) {
    source_.fail(node, path_ + where + " must be a single value");
    return false;
  }
  auto text = interpolate_environment(node.Scalar());
  if (!text) {
    source_.fail(node, path_ + where + ": " + text.error().message, text.error().hint);
    return false;
  }
  out = *text;
  return true;
}

bool YamlSection::take_scalar(const char* key, std::string& out) {
  const YAML::Node node = take(key);
  if (!node.IsDefined() || node.IsNull()) return false;
  return scalar_text(node, key, out);
}

template <class T>
void YamlSection::read_parsed(const char* key, T& out, Result<T> (*parse)(std::string_view)) {
  std::string text;
  if (!take_scalar(key, text)) return;
  auto value = parse(text);
  if (value)
    out = *value;
  else
    source_.fail(node_[key], path_ + key + " is " + value.error().message, value.error().hint);
}

void YamlSection::read(const char* key, std::string& out) {
  take_scalar(key, out);
}

void YamlSection::read(const char* key, bool& out) {
  read_choice<bool>(key, out, {{"true", true}, {"false", false}, {"yes", true}, {"no", false}});
}

void YamlSection::read(const char* key, double& out) {
  std::string text;
  if (!take_scalar(key, text)) return;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value))
    source_.fail(node_[key], path_ + key + " must be a number, not '" + text + "'");
  else
    out = value;
}

void YamlSection::read(const char* key, std::int64_t& out) {
  std::uint64_t value = 0;
  std::string text;
  if (!take_scalar(key, text)) return;
  auto parsed = parse_count(text);
  if (!parsed) {
    source_.fail(node_[key], path_ + key + " is " + parsed.error().message, parsed.error().hint);
    return;
  }
  value = *parsed;
  out = static_cast<std::int64_t>(value);
}

void YamlSection::read(const char* key, std::int32_t& out) {
  std::int64_t wide = out;
  read(key, wide);
  if (wide > std::numeric_limits<std::int32_t>::max())
    source_.fail(node_[key], path_ + key + " is too large");
  else
    out = static_cast<std::int32_t>(wide);
}

void YamlSection::read(const char* key, std::uint64_t& out) {
  read_parsed(key, out, &parse_size);
}
void YamlSection::read(const char* key, Duration& out) {
  read_parsed(key, out, &parse_duration);
}
void YamlSection::read_percent(const char* key, double& out) {
  read_parsed(key, out, &parse_percent);
}

void YamlSection::read(const char* key, std::vector<std::string>& out) {
  const YAML::Node node = take(key);
  if (!node.IsDefined() || node.IsNull()) return;
  std::vector<std::string> values;
  if (node.IsScalar()) {  // "a, b" as environment variables carry lists
    std::string text;
    if (!scalar_text(node, key, text)) return;
    std::size_t start = 0;
    while (start <= text.size()) {
      auto end = std::min(text.find(',', start), text.size());
      std::string item = text.substr(start, end - start);
      item.erase(0, item.find_first_not_of(' '));
      item.erase(item.find_last_not_of(' ') + 1);
      if (!item.empty()) values.push_back(item);
      start = end + 1;
    }
  } else if (node.IsSequence()) {
    for (const YAML::Node& item : node) {
      std::string text;
      if (!scalar_text(item, key, text)) return;
      values.push_back(text);
    }
  } else {
    source_.fail(node, path_ + key + " must be a list");
    return;
  }
  out = std::move(values);
}

void YamlSection::read(const char* key, std::map<std::string, std::string>& out) {
  const YAML::Node node = take(key);
  if (!node.IsDefined() || node.IsNull()) return;
  if (!node.IsMap()) {
    source_.fail(node, path_ + key + " must be a mapping");
    return;
  }
  for (const auto& entry : node) {
    std::string text;
    if (!scalar_text(entry.second, std::string(key) + "." + entry.first.Scalar(), text)) return;
    out[entry.first.Scalar()] = text;
  }
}

void YamlSection::bad_choice(const char* key, const std::string& text,
                             const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  source_.fail(node_[key], path_ + key + " cannot be '" + text + "'", "use one of " + list);
}

void YamlSection::section(const char* key, const std::function<void(YamlSection&)>& read_it) {
  const YAML::Node node = take(key);
  if (!node.IsDefined() || node.IsNull()) return;
  YamlSection inner(source_, node, path_ + key + ".");
  read_it(inner);
  inner.refuse_unknown_keys();
}

void YamlSection::each(const char* key,
                       const std::function<void(const std::string&, YamlSection&)>& read_it) {
  const YAML::Node node = take(key);
  if (!node.IsDefined() || node.IsNull()) return;
  const YamlSection checked(source_, node, path_ + key + ".");
  for (const auto& entry : checked.node_) {
    YamlSection inner(source_, entry.second, path_ + key + "." + entry.first.Scalar() + ".");
    read_it(entry.first.Scalar(), inner);
    inner.refuse_unknown_keys();
  }
}

void YamlSection::refuse_unknown_keys() {
  for (const auto& entry : node_) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (known_.contains(key)) continue;
    const std::string near = nearest_name(key, {known_.begin(), known_.end()});
    std::string all;
    for (const std::string& name : known_) all += (all.empty() ? "" : ", ") + name;
    source_.fail(entry.first, "unknown key '" + path_ + key + "'",
                 near.empty() ? "known here: " + all : "did you mean '" + near + "'?");
  }
}

}  // namespace flux
