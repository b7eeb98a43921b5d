#pragma once
// What users do: weighted flows of steps. Read from YAML, or made from a single
// request on the command line; the engine knows only this.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/loadtest/feeder.hpp"
#include "cli/loadtest/pacing.hpp"
#include "cli/loadtest/text_template.hpp"
#include "common/core/result.hpp"

namespace flux::loadtest {

// Takes a value out of an answer into a variable of the user.
struct Extraction {
  std::uint16_t variable = 0;
  std::string json_pointer{};  // either this
  std::string header{};        // or this
};

// What an answer must be besides its status; each counts for `checks`.
struct Check {
  enum class Kind { header_equals, header_present, body_contains, json_equals };
  Kind kind = Kind::body_contains;
  std::string where{};  // header name or JSON pointer
  std::string value{};  // text to equal or contain; JSON text for json_equals
};

enum class StepKind : std::uint8_t { http, ws_connect, ws_send, ws_receive, ws_close };

struct Step {
  StepKind kind = StepKind::http;
  std::uint16_t name = 0;  // index into Scenario::names
  std::string method = "GET";
  TextTemplate path{};
  std::vector<std::pair<std::string, TextTemplate>> headers{};
  TextTemplate body{};        // also the text of ws_send
  std::vector<int> expect{};  // statuses that count as success; empty: 200-399
  std::vector<Extraction> extract{};
  std::vector<Check> checks{};
  std::optional<ThinkTime> think{};  // pause after this step; the last step uses its flow's

  bool expects(unsigned status) const;
  // The answer's head and body are looked at, not only counted.
  bool reads_answer() const { return !extract.empty() || !checks.empty(); }
};

struct Flow {
  std::string name{};
  double weight = 1;
  std::vector<std::uint16_t> needs{};  // variables that must be set before a user can take this flow
  std::vector<std::pair<std::uint16_t, TextTemplate>> set{};  // evaluated when the flow begins
  std::vector<Step> steps{};
  std::optional<ThinkTime> think{};
};

struct RequestName {
  std::string name{};
  std::map<std::string, std::string> tags{};
};

struct Scenario {
  std::string name{};
  std::vector<RequestName> names{};
  std::vector<std::string> variables{};
  std::vector<std::string> initial{};  // first values of `variables`
  std::vector<Feeder> feeders{};
  std::vector<Step> setup{};  // sent once, in order, before the load
  std::vector<Flow> flows{};
  std::optional<ThinkTime> think{};

  // The first unset name gets the next index; an existing one is found again.
  std::uint16_t name_index(const std::string& name);
};

// `source` names the text in errors: "orders.yaml:12:5: …". Feeder files are
// looked for beside `directory`.
Result<Scenario> parse_scenario(std::string_view yaml, const std::string& source,
                                const std::string& directory);
Result<Scenario> load_scenario(const std::string& file);

// 70 % orders with idempotency keys, 20 % reads of the user's own order, 10 % product reads.
Result<Scenario> order_mix();

// One request, over and over.
struct SingleRequest {
  std::string path = "/";
  std::string method = "GET";
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
};
Result<Scenario> single_request(const SingleRequest& request);

}  // namespace flux::loadtest
