#pragma once
// Reads one mapping of a YAML file into typed fields, remembers which keys were
// asked for, and complains about the others with line and nearest key.

#include <yaml-cpp/yaml.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/units.hpp"

namespace flux {

// What a whole file shares: its name, the first error, and the line of each key.
struct YamlSource {
  std::string name;
  std::optional<Error> error{};
  std::map<std::string, int> lines{};
  bool columns = false;  // errors say line and column, for files with long lines of their own

  void fail(const YAML::Node& at, const std::string& message, const std::string& hint = "");
};

// ${NAME} and ${NAME:-default} from the environment; an unset name without a
// default is an error that names it.
Result<std::string> interpolate_environment(std::string_view text);

// The candidate with the smallest edit distance, or "" when none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

class YamlSection {
 public:
  // `path` is "" for the document itself, else e.g. "kafka.topics.".
  YamlSection(YamlSource& source, const YAML::Node& node, std::string path);

  void read(const char* key, std::string& out);
  void read(const char* key, bool& out);
  void read(const char* key, double& out);
  void read(const char* key, std::int64_t& out);  // counts with k and M
  void read(const char* key, std::int32_t& out);
  void read(const char* key, std::uint64_t& out);  // sizes
  void read(const char* key, Duration& out);
  void read_percent(const char* key, double& out);
  void read(const char* key, std::vector<std::string>& out);
  void read(const char* key, std::map<std::string, std::string>& out);

  template <class E>
  void read_choice(const char* key, E& out, const std::vector<std::pair<std::string, E>>& choices) {
    std::string text;
    if (!take_scalar(key, text)) return;
    std::vector<std::string> names;
    for (const auto& [name, value] : choices) {
      if (name == text) {
        out = value;
        return;
      }
      names.push_back(name);
    }
    bad_choice(key, text, names);
  }

  bool has(const char* key) const;
  // Reads the mapping under `key`, when there is one; complains about its unknown keys.
  void section(const char* key, const std::function<void(YamlSection&)>& read_it);
  // Reads every entry of the mapping under `key`, whose names are free.
  void each(const char* key, const std::function<void(const std::string& name, YamlSection&)>& read_it);
  // The raw node under `key`, marked as known; undefined when missing.
  YAML::Node take(const char* key);
  // Complains about keys nobody asked for. Called by section() and each().
  void refuse_unknown_keys();

  YamlSource& source() { return source_; }

 private:
  bool take_scalar(const char* key, std::string& out);
  bool scalar_text(const YAML::Node& node, const std::string& where, std::string& out);
  void bad_choice(const char* key, const std::string& text, const std::vector<std::string>& names);
  template <class T>
  void read_parsed(const char* key, T& out, Result<T> (*parse)(std::string_view));

  YamlSource& source_;
  YAML::Node node_;
  std::string path_;
  std::set<std::string> known_;
};

}  // namespace flux
