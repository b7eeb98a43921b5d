#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "common/order/order_event.hpp"
#include "daemons/api/request_bodies.hpp"
#include "tests/fakes/scratch_directory.hpp"
#include "tests/unit/daemons/api/api_fixture.hpp"

namespace flux::api {
namespace {

using namespace std::chrono_literals;

// sha256 of "abc" (FIPS 180-2, B.1) and of the 56-byte message of appendix B.2.
const std::string kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const std::string kLong = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
const std::string kLongToken = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

struct Access : ApiTest {
  testing::ScratchDirectory scratch;
  std::string file = scratch.path() + "/tokens.yaml";

  void write(const std::string& text) { std::ofstream(file) << text; }
  static std::string bearer(const std::string& token) {
    return kJson + "Authorization: Bearer " + token + "\r\n";
  }
};

TEST_F(Access, EveryRouteAsksForItsScope) {
  write("- {name: shop, sha256: " + kAbc + ", scopes: [order]}\n- {name: ops, sha256: " + kLong +
        ", scopes: [read, admin]}\n");
  config.api.tokens_file = file;
  start();
  struct Case {
    const char* method;
    const char* path;
    const char* body;
    int none, order, read_and_admin;
  };
  const Case cases[] = {
      {"PUT", "/v1/products/p1", R"({"stock":5})", 401, 403, 200},
      {"GET", "/v1/products/p1", "", 401, 403, 200},
      {"POST", "/v1/orders", R"({"productId":"p1","quantity":1,"userId":"u"})", 401, 202, 403},
      {"GET", "/v1/orders/x", "", 401, 403, 404},
      {"POST", "/v1/workflows", "{}", 401, 403, 400},
      {"GET", "/v1/workflows/x", "", 401, 403, 404},
      {"PUT", "/v1/workflows/x", "{}", 401, 403, 404},
      {"POST", "/v1/workflows/x/trigger", "{}", 401, 403, 404},
      {"GET", "/v1/runs", "", 401, 403, 200},
      {"GET", "/v1/runs/x", "", 401, 403, 404},
      {"GET", "/health", "", 200, 200, 200},
      {"GET", "/ready", "", 200, 200, 200},
      {"GET", "/metrics", "", 200, 200, 200},
      {"GET", "/openapi.json", "", 200, 200, 200},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ask(c.method, c.path, c.body, bearer(kLongToken)).status, c.read_and_admin)
        << c.method << c.path;
    EXPECT_EQ(ask(c.method, c.path, c.body, bearer("abc")).status, c.order) << c.method << c.path;
    const auto refused = ask(c.method, c.path, c.body, bearer("abd"));
    EXPECT_EQ(refused.status, c.none) << c.method << c.path;
    if (c.none == 401) {
      EXPECT_EQ(refused.header("WWW-Authenticate"), "Bearer");
    }
    EXPECT_EQ(ask(c.method, c.path, c.body).status, c.none) << c.method << c.path;
  }
  EXPECT_EQ(ask("GET", "/metrics").body.find("abcdbcde"), std::string::npos);
}

TEST_F(Access, ReadsTheFileAgainWhenItChangesAndKeepsTheOldOneWhenItBreaks) {
  write("- {name: a, sha256: " + kAbc + ", scopes: [read]}\n");
  config.api.tokens_file = file;
  start();
  const auto may = [&](const std::string& token) {
    return ask("GET", "/v1/runs", "", bearer(token)).status == 200;
  };
  const auto change = [&](const std::string& text) {
    write(text);
    std::filesystem::last_write_time(file, std::filesystem::last_write_time(file) + 1s);
    clock.advance(2s);
  };
  EXPECT_TRUE(may("abc"));
  change("- {name: b, sha256: " + kLong + ", scopes: [read]}\n");
  EXPECT_TRUE(may(kLongToken));
  EXPECT_FALSE(may("abc"));
  change("- {name: c, sha256: short}\n");
  EXPECT_TRUE(may(kLongToken));
}

TEST_F(Access, RefusesATokenFileThatDoesNotRead) {
  for (const char* text : {"{a: b}", "- {name: a}", "- {name: a, sha256: x, scopes: [read]}", "- {sha256: x}",
                           "[", "- {name: a, sha256: x, colour: red}"}) {
    write(text);
    TokenFile tokens(file, clock);
    const auto loaded = tokens.load();
    ASSERT_FALSE(loaded) << text;
    EXPECT_EQ(loaded.error().code, Errc::invalid_argument);
    EXPECT_NE(loaded.error().message.find("tokens.yaml"), std::string::npos) << loaded.error().message;
  }
  EXPECT_FALSE(TokenFile(scratch.path() + "/absent", clock).load());
}

// ---- configs/openapi.yaml and the document that is served say the same -------

bool same(const YAML::Node& yaml, const boost::json::value& json, const std::string& where) {
  if (yaml.IsMap()) {
    if (!json.is_object() || json.get_object().size() != yaml.size()) return ADD_FAILURE() << where, false;
    for (const auto& entry : yaml) {
      const auto* value = json.get_object().if_contains(entry.first.Scalar());
      if (value == nullptr) return ADD_FAILURE() << where << '.' << entry.first.Scalar(), false;
      if (!same(entry.second, *value, where + "." + entry.first.Scalar())) return false;
    }
    return true;
  }
  if (yaml.IsSequence()) {
    if (!json.is_array() || json.get_array().size() != yaml.size()) return ADD_FAILURE() << where, false;
    for (std::size_t i = 0; i < yaml.size(); ++i)
      if (!same(yaml[i], json.get_array()[i], where + "[" + std::to_string(i) + "]")) return false;
    return true;
  }
  std::string text = yaml.Scalar();
  while (text.ends_with('\n')) text.pop_back();
  const bool equal =
      json.is_string() ? text == std::string(json.get_string()) : text == boost::json::serialize(json);
  EXPECT_TRUE(equal) << where << ": " << text << " / " << json;
  return equal;
}

TEST_F(Access, ServesTheOpenapiDocumentOfTheRepository) {
  start();
  const auto served = ask("GET", "/openapi.json");
  EXPECT_EQ(served.status, 200);
  const auto document = served.json();
  EXPECT_EQ(document.at("openapi"), "3.1.0");
  // build/PRESET/tests/PROGRAM lies in the repository.
  auto root = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  while (!std::filesystem::exists(root / "configs/openapi.yaml") && root.has_relative_path())
    root = root.parent_path();
  same(YAML::LoadFile((root / "configs/openapi.yaml").string()), document, "");
  // Every documented path is served: its parameters aside, it is never "no such path".
  for (const auto& path : document.at("paths").as_object())
    for (const auto& operation : path.value().as_object()) {
      if (operation.key() == "parameters") continue;
      std::string method(operation.key()), target(path.key());
      for (char& c : method) c = static_cast<char>(c & ~0x20);
      const auto answer = ask(method, target, method == "GET" ? "" : "{}");
      EXPECT_NE(answer.status, 405) << method << target;
      EXPECT_EQ(answer.body.find("no such path"), std::string::npos) << method << target;
    }
}

// ---- whatever the bytes, parsing ends in a value or in invalid_argument ------

TEST(RequestBodies, SurviveMutation) {
  const std::string seeds[] = {
      R"({"productId":"p1","quantity":3,"userId":"u1"})",
      R"({"stock":1000,"buckets":4})",
      R"({"name":"w","steps":[{"name":"a","kind":"http","with":{"url":"http://a/b","headers":{"x":"y"},"timeout":"5s"}}]})",
      R"({"input":{"a":[1,2,{"b":null}]}})",
      "status=queued&workflowId=01890a5d-ac96-774b-bcce-b302099a8057&limit=5",
      encode_order_event({.id = new_uuid(),
                          .product_id = "p",
                          .quantity = 2,
                          .user_id = "u",
                          .accepted_at = from_unix_ms(1)})};
  std::mt19937 random(3);
  const auto checked = [](const auto& result) {
    if (!result) {
      EXPECT_EQ(result.error().code, Errc::invalid_argument);
    }
  };
  for (int i = 0; i < 40'000; ++i) {
    std::string text = seeds[random() % std::size(seeds)];
    for (int m = static_cast<int>(random() % 5); m > 0 && !text.empty(); --m) {
      const auto at = random() % text.size();
      switch (random() % 4) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, random() % 9); break;
        case 2: text.insert(at, text.substr(random() % text.size(), random() % 24)); break;
        default: text.insert(at, 1, "{}[]\",:\\0-.e%&="[random() % 15]);
      }
    }
    const auto order = parse_order_request(text);
    checked(order);
    if (order) {
      EXPECT_TRUE(is_valid_id(order->product_id) && is_valid_id(order->user_id));
      EXPECT_TRUE(order->quantity >= 1 && order->quantity <= kMaxQuantity);
    }
    checked(parse_product_request(text));
    checked(parse_workflow_request(text));
    checked(parse_trigger_request(text));
    checked(parse_run_query(text));
    const auto event = decode_order_event(text);
    checked(event);
    if (event) {
      EXPECT_EQ(decode_order_event(encode_order_event(*event))->id, event->id);
    }
  }
}

}  // namespace
}  // namespace flux::api
