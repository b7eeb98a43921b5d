#include "cli/loadtest/answer.hpp"

#include <boost/json.hpp>

namespace flux::loadtest {
namespace {

namespace json = boost::json;

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

// The body as JSON, parsed when first asked for, in a stack buffer when it is small.
class JsonBody {
 public:
  explicit JsonBody(const std::string& text) : text_(text), memory_(buffer_, sizeof buffer_) {}

  const json::value* at(const std::string& pointer) {
    if (!parsed_) {
      parsed_ = true;
      json::error_code ec;
      value_ = json::parse(text_, ec, &memory_);
      valid_ = !ec;
    }
    if (!valid_) return nullptr;
    json::error_code ec;
    return value_.find_pointer(pointer, ec);
  }

 private:
  const std::string& text_;
  unsigned char buffer_[4096];
  json::monotonic_resource memory_;
  json::value value_ = json::value(json::storage_ptr(&memory_));
  bool parsed_ = false;
  bool valid_ = false;
};

bool holds(const Check& check, const AnswerParts& parts, JsonBody& body) {
  switch (check.kind) {
    case Check::Kind::header_present: return parts.header(check.where) != nullptr;
    case Check::Kind::header_equals: {
      const std::string* value = parts.header(check.where);
      return value != nullptr && *value == check.value;
    }
    case Check::Kind::body_contains: return parts.body.find(check.value) != std::string::npos;
    case Check::Kind::json_equals: {
      const json::value* value = body.at(check.where);
      return value != nullptr && text_of(*value) == check.value;
    }
  }
  return false;
}

void look_at(const Step& step, const AnswerParts& parts, std::string* variables, Outcome& outcome) {
  JsonBody body(parts.body);
  for (const Check& check : step.checks) {
    if (holds(check, parts, body)) {
      ++outcome.checks_passed;
    } else {
      ++outcome.checks_failed;
      outcome.error = ErrorKind::check;
    }
  }
  for (const Extraction& extraction : step.extract) {
    std::string found;
    if (!extraction.header.empty()) {
      if (const std::string* value = parts.header(extraction.header); value != nullptr) found = *value;
    } else if (const json::value* value = body.at(extraction.json_pointer); value != nullptr) {
      found = text_of(*value);
    }
    if (found.empty())
      outcome.error = ErrorKind::check;
    else
      variables[extraction.variable] = std::move(found);
  }
}

}  // namespace

void judge_answer(const Step& step, unsigned status, const AnswerParts& parts, std::string* variables,
                  Outcome& outcome) {
  outcome.status = status;
  if (!step.expects(status)) {
    outcome.error = status >= 500   ? ErrorKind::status_5xx
                    : status >= 400 ? ErrorKind::status_4xx
                                    : ErrorKind::check;
    outcome.checks_failed = static_cast<std::uint32_t>(step.checks.size());
    return;
  }
  if (step.reads_answer()) look_at(step, parts, variables, outcome);
}

void judge_message(const Step& step, const std::string& payload, std::string* variables, Outcome& outcome) {
  if (step.reads_answer()) look_at(step, {payload, {}}, variables, outcome);
}

}  // namespace flux::loadtest
