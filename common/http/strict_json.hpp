#pragma once
// Reading JSON from strangers: bounded depth, valid UTF-8, no duplicate and no
// unknown fields, exact types. Errors name the field.

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace flux {

// One JSON document and nothing after it. Never throws, whatever the bytes.
Result<boost::json::value> parse_strict_json(std::string_view text, std::size_t max_depth = 32);

// The fields of one object, read one by one. The first error wins; finish()
// returns it, or complains about a field that nobody asked for.
class JsonFields {
 public:
  // `where` prefixes names in errors, e.g. "steps[2]."; the value must outlive this.
  JsonFields(const boost::json::value& value, std::string where);

  // Required; `out` is untouched on error.
  void read(std::string_view name, std::int64_t low, std::int64_t high, std::int64_t& out);
  void read(std::string_view name, std::size_t max_length, std::string& out);
  // nullptr: missing.
  const boost::json::value* take(std::string_view name);
  void fail(std::string_view name, std::string_view why);
  bool has(std::string_view name) const;
  bool failed() const { return error_.has_value(); }

  Result<> finish();

 private:
  const boost::json::value* require(std::string_view name);

  const boost::json::object* object_ = nullptr;
  std::string where_;
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

}  // namespace flux
