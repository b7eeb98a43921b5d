#include "common/workflow/step_settings.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cctype>
#include <optional>
#include <set>

#include "common/core/units.hpp"

namespace flux {
namespace json = boost::json;
namespace {

Error wrong(std::string_view setting, std::string_view should) {
  return {Errc::invalid_argument, "'" + std::string(setting) + "' " + std::string(should)};
}

// Reads members one by one, keeps the first error, and knows which were asked for.
class Settings {
 public:
  explicit Settings(const json::object& object) : object_(object) {}

  void text(const char* key, std::string& out, bool required, std::size_t longest = 8192) {
    const json::value* value = member(key);
    if (value == nullptr) {
      if (required) fail(wrong(key, "is required"));
    } else if (!value->is_string() || value->get_string().empty() || value->get_string().size() > longest) {
      fail(wrong(key, "must be a text that is not empty"));
    } else {
      out = value->get_string();
    }
  }

  void duration(const char* key, Duration& out, Duration longest, bool required = false) {
    std::string written;
    text(key, written, required);
    if (written.empty()) return;
    const auto parsed = parse_duration(written);
    if (!parsed || *parsed > longest)
      fail(wrong(key, "must be a duration up to " + format_duration(longest) + ", like \"500ms\" or \"2s\""));
    else
      out = *parsed;
  }

  void integer(const char* key, std::int32_t& out, std::int32_t low, std::int32_t high) {
    const json::value* value = member(key);
    if (value == nullptr) return;
    if (!value->is_int64() || value->get_int64() < low || value->get_int64() > high)
      fail(wrong(key, "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high)));
    else
      out = static_cast<std::int32_t>(value->get_int64());
  }

  void any(const char* key, std::string& out) {
    if (const json::value* value = member(key))
      out = value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
  }

  void headers(const char* key, std::vector<std::pair<std::string, std::string>>& out) {
    const json::value* value = member(key);
    if (value == nullptr) return;
    if (!value->is_object()) return fail(wrong(key, "must be an object of texts"));
    for (const auto& [name, text_value] : value->get_object()) {
      const bool safe_name = !name.empty() && std::ranges::all_of(name, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
      });
      if (!safe_name || !text_value.is_string() || std::ranges::any_of(text_value.get_string(), [](char c) {
            return static_cast<unsigned char>(c) < 0x20;
          }))
        return fail(wrong(key, "must be an object of header names to texts without control characters"));
      out.emplace_back(name, text_value.get_string());
    }
  }

  void retry(RetrySettings& out) {
    integer("attempts", out.attempts, 1, 20);
    duration("backoff", out.first_wait, std::chrono::minutes{5});
  }

  void fail(Error error) {
    if (!error_) error_ = std::move(error);
  }

  std::optional<Error> finish() {
    for (const auto& [key, value] : object_)
      if (!known_.contains(std::string(key))) fail(wrong(key, "is not a setting of this kind of step"));
    return error_;
  }

 private:
  const json::value* member(const char* key) {
    known_.insert(key);
    return object_.if_contains(key);
  }

  const json::object& object_;
  std::set<std::string> known_;
  std::optional<Error> error_;
};

HttpStep read_http(Settings& settings) {
  HttpStep step;
  settings.text("url", step.url, true);
  if (!step.url.empty() && !step.url.starts_with("http://") && !step.url.starts_with("https://"))
    settings.fail(wrong("url", "must begin with http:// or https://"));
  if (std::ranges::any_of(step.url, [](char c) { return static_cast<unsigned char>(c) <= 0x20; }))
    settings.fail(wrong("url", "must not contain spaces or control characters"));
  settings.text("method", step.method, false);
  constexpr std::array<std::string_view, 6> kMethods{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
  if (std::ranges::find(kMethods, step.method) == kMethods.end())
    settings.fail(wrong("method", "must be GET, POST, PUT, PATCH, DELETE or HEAD"));
  settings.headers("headers", step.headers);
  settings.any("body", step.body);
  settings.duration("timeout", step.timeout, std::chrono::minutes{5});
  settings.integer("expect", step.expect, 100, 599);
  settings.retry(step.retry);
  return step;
}

EmitStep read_emit(Settings& settings) {
  EmitStep step;
  settings.text("topic", step.topic, true, 200);
  const bool is_topic_name = std::ranges::all_of(step.topic, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
  if (!is_topic_name) settings.fail(wrong("topic", "may contain letters, digits, '.', '_' and '-' only"));
  settings.text("key", step.key, false);
  settings.any("value", step.value);
  settings.retry(step.retry);
  return step;
}

SleepStep read_sleep(Settings& settings) {
  SleepStep step;
  settings.duration("duration", step.duration, std::chrono::hours{24}, true);
  return step;
}

}  // namespace

Result<StepSettings> parse_step_settings(StepKind kind, std::string_view with_json) {
  boost::system::error_code ec;
  json::parse_options options;
  options.max_depth = 16;
  const json::value document = json::parse(with_json, ec, {}, options);
  if (ec || !document.is_object()) return Error{Errc::invalid_argument, "'with' must be an object"};
  Settings settings(document.get_object());
  StepSettings step;
  switch (kind) {
    case StepKind::http: step = read_http(settings); break;
    case StepKind::emit: step = read_emit(settings); break;
    case StepKind::sleep: step = read_sleep(settings); break;
  }
  if (auto error = settings.finish()) return *error;
  return step;
}

}  // namespace flux
