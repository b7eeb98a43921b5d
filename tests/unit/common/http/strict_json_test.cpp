#include "common/http/strict_json.hpp"

#include <gtest/gtest.h>

#include <random>

namespace flux {
namespace {

struct Case {
  std::string text;
  bool valid;
};

// RFC 8259; the RFC leaves duplicate names open, we refuse them.
TEST(StrictJson, TakesOneWellFormedDocument) {
  const Case cases[] = {
      {R"({"a":1})", true},
      {R"( {"a":{"b":[1,2.5,null,true,"x"]}} )", true},
      {R"([])", true},
      {R"(1)", true},
      {R"({"a":1,"a":2})", false},
      {R"({"a":{"b":1,"b":1}})", false},
      {R"([{"a":1},{"a":1}])", true},
      {R"({"a":1,"\u0061":2})", false},
      {R"({"a":1}x)", false},
      {R"({"a":1}{"b":1})", false},
      {R"({"a":01})", false},
      {R"({"a":+1})", false},
      {R"({"a":NaN})", false},
      {R"({a:1})", false},
      {R"({'a':1})", false},
      {R"({"a":1,})", false},
      {R"({"a":1 /* c */})", false},
      {"{\"a\":\"\x01\"}", false},
      {"{\"a\":\"\xff\"}", false},
      {"{\"a\":\"\xc3\x28\"}", false},
      {"{\"a\":\"\xed\xa0\x80\"}", false},
      {R"({"a":"\ud800"})", false},
      {"\xef\xbb\xbf{}", false},
      {"", false},
      {" ", false},
      {R"({"a":)", false},
      {std::string("{\"a\":1}\0", 8), false},
  };
  for (const auto& c : cases) EXPECT_EQ(parse_strict_json(c.text).has_value(), c.valid) << c.text;
}

TEST(StrictJson, RefusesDepthBeyondTheLimit) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(parse_strict_json(nested(8), 8));
  EXPECT_FALSE(parse_strict_json(nested(9), 8));
  EXPECT_FALSE(parse_strict_json(nested(100'000)));
  EXPECT_FALSE(parse_strict_json(std::string(100'000, '[')));
}

TEST(StrictJson, SurvivesMutatedDocuments) {
  std::mt19937 random(7);
  const std::string seed = R"({"productId":"p-1","quantity":3,"nested":{"a":[1,2,{"b":"\u00e9"}]}})";
  for (int i = 0; i < 20'000; ++i) {
    std::string text = seed;
    for (int m = static_cast<int>(random() % 4); m >= 0; --m) {
      const auto at = random() % text.size();
      if (random() % 3 == 0)
        text.erase(at, 1 + random() % 5);
      else if (random() % 2 == 0)
        text[at] = static_cast<char>(random());
      else
        text.insert(at, 1, "{}[]\",:\\0"[random() % 9]);
      if (text.empty()) text = "{";
    }
    const auto value = parse_strict_json(text);
    if (!value) {
      EXPECT_EQ(value.error().code, Errc::invalid_argument);
    }
  }
}

TEST(JsonFields, NamesTheFieldThatIsWrong) {
  const auto check = [](const char* text, const char* expected) {
    const auto value = *parse_strict_json(text);
    JsonFields fields(value, "");
    std::int64_t quantity = 0;
    std::string name;
    fields.read("quantity", 1, 10, quantity);
    fields.read("name", 4, name);
    const auto done = fields.finish();
    EXPECT_EQ(done ? "" : done.error().message, expected) << text;
  };
  check(R"({"quantity":10,"name":"abcd"})", "");
  check(R"({"name":"a"})", "quantity is missing");
  check(R"({"quantity":11,"name":"a"})", "quantity must be an integer from 1 to 10");
  check(R"({"quantity":1.0,"name":"a"})", "quantity must be an integer from 1 to 10");
  check(R"({"quantity":"1","name":"a"})", "quantity must be an integer from 1 to 10");
  check(R"({"quantity":18446744073709551615,"name":"a"})", "quantity must be an integer from 1 to 10");
  check(R"({"quantity":1e400,"name":"a"})", "quantity must be an integer from 1 to 10");
  check(R"({"quantity":1,"name":"abcde"})", "name must be a string of 1 to 4 bytes");
  check(R"({"quantity":1,"name":""})", "name must be a string of 1 to 4 bytes");
  check(R"({"quantity":1,"name":null})", "name must be a string of 1 to 4 bytes");
  check(R"({"quantity":1,"name":"a","extra":1})", "unknown field 'extra'");
  check(R"([1])", "the body must be a JSON object");
}

}  // namespace
}  // namespace flux
