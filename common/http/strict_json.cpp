#include "common/http/strict_json.hpp"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value_stack.hpp>

namespace flux {
namespace {
namespace json = boost::json;

// Builds the value and counts the members that were written. Building keeps one
// member per name, so fewer members in the value than written means a duplicate.
struct CountingBuilder {
  static constexpr std::size_t max_object_size = 10'000;
  static constexpr std::size_t max_array_size = 100'000;
  static constexpr std::size_t max_key_size = 4'096;
  static constexpr std::size_t max_string_size = std::size_t{16} << 20;

  json::value_stack stack{};
  std::size_t members = 0;

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return true; }
  bool on_object_end(std::size_t n, json::error_code&) {
    members += n;
    stack.push_object(n);
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(std::size_t n, json::error_code&) {
    stack.push_array(n);
    return true;
  }
  bool on_key_part(json::string_view s, std::size_t, json::error_code&) {
    stack.push_chars(s);
    return true;
  }
  bool on_key(json::string_view s, std::size_t, json::error_code&) {
    stack.push_key(s);
    return true;
  }
  bool on_string_part(json::string_view s, std::size_t, json::error_code&) {
    stack.push_chars(s);
    return true;
  }
  bool on_string(json::string_view s, std::size_t, json::error_code&) {
    stack.push_string(s);
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t i, json::string_view, json::error_code&) {
    stack.push_int64(i);
    return true;
  }
  bool on_uint64(std::uint64_t u, json::string_view, json::error_code&) {
    stack.push_uint64(u);
    return true;
  }
  bool on_double(double d, json::string_view, json::error_code&) {
    stack.push_double(d);
    return true;
  }
  bool on_bool(bool b, json::error_code&) {
    stack.push_bool(b);
    return true;
  }
  bool on_null(json::error_code&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
};

std::size_t count_members(const json::value& value) {
  std::size_t n = 0;
  if (const auto* object = value.if_object()) {
    n = object->size();
    for (const auto& member : *object) n += count_members(member.value());
  } else if (const auto* array = value.if_array()) {
    for (const auto& element : *array) n += count_members(element);
  }
  return n;
}

Error not_json(std::string_view why) {
  return {Errc::invalid_argument, "the body is not valid JSON: " + std::string(why),
          "send one JSON document in UTF-8"};
}

}  // namespace

Result<json::value> parse_strict_json(std::string_view text, std::size_t max_depth) {
  try {
    json::parse_options options;
    options.max_depth = max_depth;
    json::basic_parser<CountingBuilder> parser(options);
    parser.handler().stack.reset();
    json::error_code ec;
    const std::size_t read = parser.write_some(false, text.data(), text.size(), ec);
    if (ec) return not_json(ec.message());
    if (read < text.size()) return not_json("more after the end of the document");
    json::value value = parser.handler().stack.release();
    if (count_members(value) != parser.handler().members)
      return not_json("a field is given twice in one object");
    return value;
  } catch (const std::exception& e) {  // out of memory, or a length beyond the library's limits
    return not_json(e.what());
  }
}

JsonFields::JsonFields(const json::value& value, std::string where)
    : object_(value.if_object()), where_(std::move(where)) {
  if (object_ == nullptr)
    error_ =
        Error{Errc::invalid_argument, (where_.empty() ? "the body" : where_.substr(0, where_.size() - 1)) +
                                          std::string(" must be a JSON object")};
}

const json::value* JsonFields::take(std::string_view name) {
  known_.push_back(name);
  return object_ == nullptr ? nullptr : object_->if_contains(name);
}

bool JsonFields::has(std::string_view name) const {
  return object_ != nullptr && object_->contains(name);
}

void JsonFields::fail(std::string_view name, std::string_view why) {
  if (!error_) error_ = Error{Errc::invalid_argument, where_ + std::string(name) + ' ' + std::string(why)};
}

const json::value* JsonFields::require(std::string_view name) {
  const auto* value = take(name);
  if (value == nullptr) fail(name, "is missing");
  return value;
}

void JsonFields::read(std::string_view name, std::int64_t low, std::int64_t high, std::int64_t& out) {
  const auto* value = require(name);
  if (value == nullptr) return;
  if (!value->is_int64() || value->get_int64() < low || value->get_int64() > high)
    fail(name, "must be an integer from " + std::to_string(low) + " to " + std::to_string(high));
  else
    out = value->get_int64();
}

void JsonFields::read(std::string_view name, std::size_t max_length, std::string& out) {
  const auto* value = require(name);
  if (value == nullptr) return;
  if (!value->is_string() || value->get_string().empty() || value->get_string().size() > max_length)
    fail(name, "must be a string of 1 to " + std::to_string(max_length) + " bytes");
  else
    out.assign(value->get_string().data(), value->get_string().size());
}

Result<> JsonFields::finish() {
  if (error_) return *error_;
  for (const auto& member : *object_)
    if (std::ranges::find(known_, std::string_view(member.key())) == known_.end()) {
      std::string names;
      for (const auto name : known_) names.append(names.empty() ? "" : ", ").append(name);
      return Error{Errc::invalid_argument, "unknown field '" + where_ + std::string(member.key()) + "'",
                   "known here: " + names};
    }
  return {};
}

}  // namespace flux
