#include "cli/loadtest/scenario.hpp"

#include <algorithm>

#include "cli_loadtest_embedded.hpp"

namespace flux::loadtest {

bool Step::expects(unsigned status) const {
  if (expect.empty()) return status >= 200 && status < 400;
  return std::find(expect.begin(), expect.end(), static_cast<int>(status)) != expect.end();
}

std::uint16_t Scenario::name_index(const std::string& wanted) {
  const auto found =
      std::find_if(names.begin(), names.end(), [&](const RequestName& n) { return n.name == wanted; });
  if (found != names.end()) return static_cast<std::uint16_t>(found - names.begin());
  names.push_back({wanted});
  return static_cast<std::uint16_t>(names.size() - 1);
}

Result<Scenario> order_mix() {
  return parse_scenario(embedded::orders_yaml, "orders.yaml", ".");
}

Result<Scenario> single_request(const SingleRequest& request) {
  Scenario scenario;
  scenario.name = request.method + " " + request.path;
  Step step;
  step.name = scenario.name_index(scenario.name);
  step.method = request.method;
  auto path = parse_template(request.path, {});
  if (!path) return path.error();
  step.path = std::move(*path);
  for (const std::string& line : request.headers) {
    const auto colon = line.find(':');
    if (colon == std::string::npos || colon == 0)
      return Error{Errc::invalid_argument, "header '" + line + "' has no name",
                   "write it like --header 'Name: value'"};
    const auto start = std::min(line.find_first_not_of(' ', colon + 1), line.size());
    auto value = parse_template(std::string_view(line).substr(start), {});
    if (!value) return value.error();
    step.headers.emplace_back(line.substr(0, colon), std::move(*value));
  }
  auto body = parse_template(request.body, {});
  if (!body) return body.error();
  step.body = std::move(*body);
  scenario.flows.push_back({scenario.name, 1, {}, {}, {std::move(step)}, {}});
  return scenario;
}

}  // namespace flux::loadtest
