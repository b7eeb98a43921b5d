#pragma once
// The settings of a workflow step (`with`), typed and checked. The API refuses a
// workflow whose settings do not parse; the worker runs what this returns.

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "common/workflow/workflow.hpp"

namespace flux {

struct RetrySettings {
  std::int32_t attempts = 3;  // in all
  Duration first_wait = std::chrono::milliseconds{200};
};

// {"url": "http://…", "method": "POST", "headers": {…}, "body": any JSON or string,
//  "timeout": "5s", "expect": 200, "attempts": 3, "backoff": "200ms"}
struct HttpStep {
  std::string url;
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  Duration timeout = std::chrono::seconds{5};
  std::int32_t expect = 0;  // 0: any 2xx
  RetrySettings retry;
};

// {"topic": "…", "key": "…", "value": any JSON, "attempts": 3, "backoff": "200ms"}
struct EmitStep {
  std::string topic;
  std::string key;
  std::string value;
  RetrySettings retry;
};

// {"duration": "1.5s"}; at most a day
struct SleepStep {
  Duration duration{};
};

using StepSettings = std::variant<HttpStep, EmitStep, SleepStep>;

// `invalid_argument` says which setting is wrong and what it should be. Never throws.
Result<StepSettings> parse_step_settings(StepKind kind, std::string_view with_json);

}  // namespace flux
