// The YAML form of a scenario. Every mistake is reported with file, line and column.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/loadtest/scenario.hpp"
#include "cli/loadtest/websocket_frames.hpp"
#include "common/config/yaml_section.hpp"

namespace flux::loadtest {
namespace {

class ScenarioReader {
 public:
  ScenarioReader(YamlSource& source, std::string directory)
      : source_(source), directory_(std::move(directory)) {}

  Scenario read(const YAML::Node& root) {
    YamlSection top(source_, root, "");
    top.read("name", scenario_.name);
    read_think(top, scenario_.think);
    std::map<std::string, std::string> variables;
    top.read("variables", variables);
    for (const auto& [name, value] : variables) scenario_.initial[variable(name)] = value;
    read_feeders(top.take("feeders"));
    const YAML::Node setup = top.take("setup");
    const YAML::Node flows = top.take("flows");
    top.refuse_unknown_keys();
    // Names given anywhere are known everywhere: one flow's extraction serves another.
    collect_variables(flows);
    for (const YAML::Node& node : list(setup, "setup")) read_setup_step(node);
    for (const YAML::Node& node : list(flows, "flows")) read_flow(node);
    if (scenario_.flows.empty()) source_.fail(root, "no flows", "give the file a list 'flows' of requests");
    if (std::all_of(scenario_.flows.begin(), scenario_.flows.end(),
                    [](const Flow& f) { return !f.needs.empty(); }))
      source_.fail(flows, "every flow needs a variable, so none can be the first",
                   "leave 'needs' out of at least one flow");
    return std::move(scenario_);
  }

 private:
  std::vector<YAML::Node> list(const YAML::Node& node, const std::string& what) {
    std::vector<YAML::Node> items;
    if (!node.IsDefined() || node.IsNull()) return items;
    if (!node.IsSequence()) {
      source_.fail(node, what + " must be a list");
      return items;
    }
    for (const auto& item : node) items.push_back(item);
    return items;
  }

  std::uint16_t variable(const std::string& name) {
    auto& names = scenario_.variables;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<std::uint16_t>(found - names.begin());
    names.push_back(name);
    scenario_.initial.emplace_back();
    return static_cast<std::uint16_t>(names.size() - 1);
  }

  TextTemplate compile(const YAML::Node& at, const std::string& text) {
    auto compiled = parse_template(text, scenario_.variables);
    if (compiled) return std::move(*compiled);
    source_.fail(at, compiled.error().message, compiled.error().hint);
    return {};
  }

  void read_think(YamlSection& section, std::optional<ThinkTime>& out) {
    const YAML::Node node = section.take("think");
    if (!node.IsDefined()) return;
    const auto think = parse_think_time(node.IsScalar() ? node.Scalar() : "");
    if (think)
      out = *think;
    else
      source_.fail(node, "think: " + think.error().message, "write it like 1s-3s, 500ms or 0");
  }

  void read_feeders(const YAML::Node& node) {
    for (const YAML::Node& item : list(node, "feeders")) {
      YamlSection section(source_, item, "feeders.");
      std::string file;
      section.read("file", file);
      Feeder feeder;
      section.read_choice<Feeder::Order>(
          "order", feeder.order,
          {{"sequential", Feeder::Order::sequential}, {"random", Feeder::Order::random}});
      section.refuse_unknown_keys();
      if (file.empty()) source_.fail(item, "a feeder needs a file");
      if (source_.error) return;
      auto table = load_feeder((std::filesystem::path(directory_) / file).string());
      if (!table) {
        source_.fail(item, table.error().message, table.error().hint);
        return;
      }
      for (const std::string& column : table->columns) feeder.variables.push_back(variable(column));
      feeder.rows = std::move(table->rows);
      scenario_.feeders.push_back(std::move(feeder));
    }
  }

  void collect_variables(const YAML::Node& flows) {
    if (!flows.IsDefined() || !flows.IsSequence()) return;
    const auto keys_of = [this](const YAML::Node& map) {
      if (map.IsDefined() && map.IsMap())
        for (const auto& entry : map) variable(entry.first.Scalar());
    };
    for (const YAML::Node& flow : flows) {
      if (!flow.IsMap()) continue;
      keys_of(flow["set"]);
      if (!flow["steps"].IsDefined() || !flow["steps"].IsSequence()) continue;
      for (const YAML::Node& step : flow["steps"])
        if (step.IsMap()) keys_of(step["extract"]);
    }
  }

  void read_setup_step(const YAML::Node& node) {
    std::int64_t repeat = 1;
    if (node.IsMap() && node["repeat"].IsDefined()) {
      YamlSection only(source_, node, "setup.");
      only.read("repeat", repeat);
    }
    for (std::int64_t index = 0; index < repeat && !source_.error; ++index)
      scenario_.setup.push_back(read_step(node, "setup.", std::to_string(index)));
  }

  void read_flow(const YAML::Node& node) {
    YamlSection section(source_, node, "flows.");
    Flow flow;
    section.read("name", flow.name);
    section.read("weight", flow.weight);
    read_think(section, flow.think);
    std::vector<std::string> needs;
    section.read("needs", needs);
    for (const std::string& name : needs) {
      if (std::find(scenario_.variables.begin(), scenario_.variables.end(), name) ==
          scenario_.variables.end())
        source_.fail(node, "flow '" + flow.name + "' needs '" + name + "', which nothing sets",
                     "set it with 'extract', 'set', 'variables' or a feeder");
      flow.needs.push_back(variable(name));
    }
    if (const YAML::Node set = section.take("set"); set.IsDefined() && set.IsMap())
      for (const auto& entry : set)
        flow.set.emplace_back(variable(entry.first.Scalar()), compile(entry.second, entry.second.Scalar()));
    const YAML::Node steps = section.take("steps");
    section.refuse_unknown_keys();
    for (const YAML::Node& step : list(steps, "steps")) flow.steps.push_back(read_step(step, "steps.", ""));
    if (flow.steps.empty()) source_.fail(node, "flow '" + flow.name + "' has no steps");
    bool upgraded = false;
    for (const Step& step : flow.steps) {
      if (step.kind != StepKind::http && step.kind != StepKind::ws_connect && !upgraded)
        source_.fail(steps, "flow '" + flow.name + "' uses a WebSocket that is not open",
                     "begin with a step 'websocket: /path'");
      upgraded = step.kind == StepKind::ws_connect ||
                 (upgraded && step.kind != StepKind::ws_close && step.kind != StepKind::http);
    }
    if (!(flow.weight > 0)) source_.fail(node, "flow '" + flow.name + "' needs a weight above 0");
    scenario_.flows.push_back(std::move(flow));
  }

  // A name that is no WebSocket verb makes an HTTP request "METHOD /path".
  Step read_step(const YAML::Node& node, const std::string& path, const std::string& index) {
    YamlSection section(source_, node, path);
    Step step;
    std::string name;
    section.read("name", name);
    std::string label;
    const auto text_at = [&](const char* key) {
      const YAML::Node value = section.take(key);
      std::string text = value.IsScalar() ? value.Scalar() : "";
      if (!index.empty())
        for (std::size_t at; (at = text.find("{{index}}")) != std::string::npos;) text.replace(at, 9, index);
      return compile(value, text);
    };
    if (section.has("request")) {
      read_request_line(section, step, label, index);
    } else if (section.has("websocket")) {
      step.kind = StepKind::ws_connect;
      label = "ws_connect";
      step.path = text_at("websocket");
      step.expect = {101};
      add_upgrade_headers(step);
    } else if (section.has("send")) {
      step.kind = StepKind::ws_send;
      label = "ws_send";
      step.body = text_at("send");
    } else if (section.has("receive")) {
      step.kind = StepKind::ws_receive;
      label = "ws_receive";
      std::string contains;
      section.read("receive", contains);
      if (!contains.empty()) step.checks.push_back({Check::Kind::body_contains, "", contains});
    } else if (section.has("close")) {
      step.kind = StepKind::ws_close;
      label = "ws_close";
      bool close = true;
      section.read("close", close);
    } else {
      source_.fail(node, "a step needs one of request, websocket, send, receive, close",
                   "write it like 'request: GET /path'");
    }
    if (!index.empty()) section.take("repeat");
    if (step.kind == StepKind::http) step.body = text_at("body");
    if (const YAML::Node headers = section.take("headers"); headers.IsDefined() && headers.IsMap())
      for (const auto& entry : headers)
        step.headers.emplace_back(entry.first.Scalar(), compile(entry.second, entry.second.Scalar()));
    read_expect(section, step);
    read_extract(section.take("extract"), step);
    read_checks(section.take("check"), step);
    read_think(section, step.think);
    std::map<std::string, std::string> tags;
    section.read("tags", tags);
    section.refuse_unknown_keys();
    if (index.empty()) {
      step.name = scenario_.name_index(name.empty() ? label : name);
      if (!tags.empty()) scenario_.names[step.name].tags = tags;
    }
    return step;
  }

  static void add_upgrade_headers(Step& step) {
    const auto header = [&](const char* name, std::string_view value) {
      step.headers.emplace_back(name, TextTemplate{{TemplatePart::Kind::literal, std::string(value)}});
    };
    header("Connection", "Upgrade");
    header("Upgrade", "websocket");
    header("Sec-WebSocket-Version", "13");
    header("Sec-WebSocket-Key", kHandshakeKey);
    step.checks.push_back(
        {Check::Kind::header_equals, "Sec-WebSocket-Accept", std::string(kHandshakeAccept)});
  }

  void read_request_line(YamlSection& section, Step& step, std::string& label, const std::string& index) {
    const YAML::Node node = section.take("request");
    std::string line = node.IsScalar() ? node.Scalar() : "";
    label = line;
    if (!index.empty())
      for (std::size_t at; (at = line.find("{{index}}")) != std::string::npos;) line.replace(at, 9, index);
    const auto space = line.find(' ');
    const bool method_ok = space != std::string::npos && space > 0 &&
                           line.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == space;
    if (!method_ok || space + 1 >= line.size() || line[space + 1] != '/') {
      source_.fail(node, "'" + line + "' is not a request", "write it like 'request: GET /path'");
      return;
    }
    step.method = line.substr(0, space);
    step.path = compile(node, line.substr(space + 1));
  }

  void read_expect(YamlSection& section, Step& step) {
    const YAML::Node node = section.take("expect");
    if (!node.IsDefined()) return;
    std::vector<YAML::Node> items;
    if (node.IsScalar())
      items.push_back(node);
    else
      items = list(node, "expect");
    step.expect.clear();
    for (const YAML::Node& item : items) {
      const int status = item.IsScalar() ? item.as<int>(0) : 0;
      if (status < 100 || status > 599) {
        source_.fail(item, "expect takes HTTP statuses", "write it like [200, 202]");
        return;
      }
      step.expect.push_back(status);
    }
  }

  void read_extract(const YAML::Node& node, Step& step) {
    if (!node.IsDefined()) return;
    if (!node.IsMap()) {
      source_.fail(node, "extract must map variables to where they come from",
                   "write it like {order_id: {json: /orderId}}");
      return;
    }
    for (const auto& entry : node) {
      YamlSection section(source_, entry.second, "extract." + entry.first.Scalar() + ".");
      Extraction extraction;
      extraction.variable = variable(entry.first.Scalar());
      section.read("json", extraction.json_pointer);
      section.read("header", extraction.header);
      section.refuse_unknown_keys();
      if (extraction.json_pointer.empty() == extraction.header.empty())
        source_.fail(entry.second, "extract needs either json (a pointer) or header (a name)");
      if (!extraction.json_pointer.empty() && extraction.json_pointer[0] != '/')
        source_.fail(entry.second, "a JSON pointer begins with '/'", "write it like /items/0/id");
      step.extract.push_back(std::move(extraction));
    }
  }

  void read_checks(const YAML::Node& node, Step& step) {
    if (!node.IsDefined()) return;
    YamlSection section(source_, node, "check.");
    if (section.has("status")) {
      std::string status;
      section.read("status", status);
      step.expect = {std::atoi(status.c_str())};
      if (step.expect[0] < 100 || step.expect[0] > 599)
        source_.fail(node["status"], "check.status takes one HTTP status; use expect for several");
    }
    std::string contains;
    section.read("body", contains);
    if (!contains.empty()) step.checks.push_back({Check::Kind::body_contains, "", contains});
    if (const YAML::Node headers = section.take("header"); headers.IsDefined() && headers.IsMap()) {
      for (const auto& entry : headers) {
        const std::string value = entry.second.IsScalar() ? entry.second.Scalar() : "";
        step.checks.push_back({value.empty() ? Check::Kind::header_present : Check::Kind::header_equals,
                               entry.first.Scalar(), value});
      }
    }
    if (const YAML::Node json = section.take("json"); json.IsDefined() && json.IsMap())
      for (const auto& entry : json)
        step.checks.push_back({Check::Kind::json_equals, entry.first.Scalar(),
                               entry.second.IsScalar() ? entry.second.Scalar() : ""});
    section.refuse_unknown_keys();
  }

  YamlSource& source_;
  std::string directory_;
  Scenario scenario_;
};

}  // namespace

Result<Scenario> parse_scenario(std::string_view yaml, const std::string& source_name,
                                const std::string& directory) {
  YamlSource source{source_name};
  source.columns = true;
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    ScenarioReader reader(source, directory);
    Scenario scenario = reader.read(root);
    if (source.error) return *source.error;
    if (scenario.name.empty()) scenario.name = std::filesystem::path(source_name).stem().string();
    return scenario;
  } catch (const YAML::Exception& e) {
    if (source.error) return *source.error;
    return Error{Errc::invalid_argument,
                 source_name + ":" + std::to_string(e.mark.line + 1) + ":" +
                     std::to_string(e.mark.column + 1) + ": " + e.msg,
                 "mend the YAML there"};
  }
}

Result<Scenario> load_scenario(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return Error{Errc::invalid_argument, "cannot read scenario " + file,
                 "see configs/scenarios/ for examples to start from"};
  std::ostringstream text;
  text << in.rdbuf();
  return parse_scenario(text.str(), file, std::filesystem::path(file).parent_path().string());
}

}  // namespace flux::loadtest
