#include "daemons/balancer/admin_routes.hpp"

#include <openssl/crypto.h>

#include <boost/json.hpp>

#include "common/http/strict_json.hpp"

namespace flux::balancer {
namespace json = boost::json;
using runtime::HttpAnswer;
using runtime::HttpRequest;
using runtime::HttpResponse;
namespace {

HttpResponse json_response(const json::value& value) {
  HttpResponse response;
  response.body = json::serialize(value) + "\n";
  return response;
}

HttpResponse failure(const HttpRequest& request, const Error& error) {
  return runtime::problem_response(request, problem_of(error));
}

// {"weight": N}, {"pool": NAME}: both optional.
Result<UpstreamSpec> read_upstream(const HttpRequest& request) {
  UpstreamSpec spec;
  auto named = parse_upstream("http://" + request.params.at(0));
  if (!named) return named.error();
  spec.id = named->id;
  if (request.body.empty()) return spec;
  const auto document = parse_strict_json(request.body);
  if (!document) return document.error();
  JsonFields fields(*document, "");
  if (fields.has("weight")) {
    std::int64_t weight = 1;
    fields.read("weight", 0, 10000, weight);
    spec.weight = static_cast<std::uint32_t>(weight);
  }
  if (fields.has("pool")) {
    fields.read("pool", 64, spec.pool);
    if (!fields.failed() && !is_token(spec.pool))
      fields.fail("pool", "must be letters, digits, '-', '_' and '.'");
  }
  if (const auto finished = fields.finish(); !finished) return finished.error();
  return spec;
}

Result<std::uint32_t> read_weight(const HttpRequest& request) {
  const auto document = parse_strict_json(request.body);
  if (!document) return document.error();
  JsonFields fields(*document, "");
  std::int64_t weight = 0;
  fields.read("weight", 0, 10000, weight);
  if (const auto finished = fields.finish(); !finished) return finished.error();
  return static_cast<std::uint32_t>(weight);
}

std::vector<std::string> not_ready_because(const AdminView& view) {
  if (view.draining) return {"draining"};
  for (const auto& upstream : view.registry.topology()->upstreams)
    if (state_of(*upstream) == "up") return {};
  return {"no upstream is available"};
}

}  // namespace

bool is_admitted(const HttpRequest& request, const std::string& token) {
  if (token.empty()) return true;
  const std::string expected = "Bearer " + token;
  const auto given = request.header("Authorization");
  return given.size() == expected.size() &&
         CRYPTO_memcmp(given.data(), expected.data(), expected.size()) == 0;
}

void add_admin_routes(runtime::RouteTable& routes, const AdminView& view) {
  const auto listing = [view](const HttpRequest& request, const Result<>& changed) -> HttpAnswer {
    if (!changed) return failure(request, changed.error());
    return json_response(describe_upstreams(*view.registry.topology()));
  };
  // Probes need no token: they tell nothing that must be kept.
  const auto guarded = [&routes, view](std::string_view method, std::string_view pattern,
                                       std::function<HttpAnswer(HttpRequest&)> handler) {
    routes.add(method, pattern, [view, handler = std::move(handler)](HttpRequest& request) -> HttpAnswer {
      if (!is_admitted(request, view.settings.admin_token))
        return failure(request, {Errc::unauthorized, "the admin API needs its token",
                                 "send Authorization: Bearer with balancer.admin_token"});
      return handler(request);
    });
  };
  guarded("GET", "/upstreams", [listing](HttpRequest& r) { return listing(r, {}); });
  guarded("PUT", "/upstreams/{id}", [view, listing](HttpRequest& r) {
    const auto spec = read_upstream(r);
    return listing(r, spec ? view.registry.put(*spec) : Result<>(spec.error()));
  });
  guarded("DELETE", "/upstreams/{id}",
          [view, listing](HttpRequest& r) { return listing(r, view.registry.remove(r.params.at(0))); });
  guarded("POST", "/upstreams/{id}/drain",
          [view, listing](HttpRequest& r) { return listing(r, view.registry.drain(r.params.at(0))); });
  guarded("POST", "/pools/{name}/weight", [view](HttpRequest& r) -> HttpAnswer {
    const auto weight = read_weight(r);
    if (!weight) return failure(r, weight.error());
    if (const auto set = view.registry.set_pool_weight(r.params.at(0), *weight); !set)
      return failure(r, set.error());
    return json_response({{"name", r.params.at(0)}, {"weight", *weight}});
  });
  guarded("GET", "/stats", [view](HttpRequest&) -> HttpAnswer {
    return json_response(describe_stats(*view.registry.topology(), view.workers));
  });
  routes.add("GET", "/health", [](HttpRequest&) -> HttpAnswer { return json_response({{"status", "ok"}}); });
  routes.add("GET", "/ready", [view](HttpRequest&) -> HttpAnswer {
    const auto reasons = not_ready_because(view);
    auto response = json_response({{"ready", reasons.empty()}, {"reasons", json::value_from(reasons)}});
    if (!reasons.empty()) response.status = 503;
    return response;
  });
  routes.add("GET", "/metrics", [view](HttpRequest&) -> HttpAnswer {
    HttpResponse response;
    response.content_type = kMetricsContentType;
    response.body = view.metrics.exposition() + balancer_exposition(*view.registry.topology(), view.workers);
    return response;
  });
}

}  // namespace flux::balancer
