#include "daemons/api/admit_request.hpp"

#include <algorithm>
#include <cmath>

namespace flux::api {
namespace {

bool is_json(std::string_view content_type) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return runtime::equals_ignoring_case(type, "application/json");
}

Async<HttpResponse> within_rate(ApiLoop& loop, HttpRequest& request, std::string client,
                                const ApiHandler& handler) {
  const auto& limits = loop.shared.config.api;
  const double burst = limits.rate_burst > 0 ? limits.rate_burst : std::max(1.0, limits.rate_limit);
  const auto decision = co_await loop.on_store(
      loop.store->take_token(client, limits.rate_limit, burst, loop.shared.clock.wall()));
  // A store that is away limits nobody: what needs it is refused with 503 further on.
  if (decision && !decision->allowed) {
    const double wait = std::chrono::duration<double>(decision->retry_after).count();
    co_return problem_response(
        request,
        {429, "too many requests from this client", "rate_limited",
         "at most " + std::to_string(static_cast<long>(limits.rate_limit)) + " per second"},
        std::max(1, static_cast<int>(std::ceil(wait))));
  }
  co_return co_await handler(request, std::move(client));
}

}  // namespace

runtime::HttpHandler admitted(ApiLoop& loop, Scope scope, ApiHandler handler) {
  return [&loop, scope, handler = std::move(handler)](HttpRequest& request) -> HttpAnswer {
    auto& shared = loop.shared;
    std::shared_ptr<const AccessTokens> tokens;
    const AccessToken* token = nullptr;
    if (shared.tokens.configured()) {
      tokens = shared.tokens.current();
      token = tokens->find(request.header("authorization"));
      if (token == nullptr) {
        auto response = refusal(request, 401, "unauthorized", "a valid bearer token is needed",
                                "send Authorization: Bearer TOKEN");
        response.add_header("WWW-Authenticate", "Bearer");
        return response;
      }
      if (!token->may(scope))
        return refusal(request, 403, "forbidden",
                       "this token does not have the scope '" + std::string(to_string(scope)) + "'");
    }
    auto client = client_of(request, token);
    if (shared.config.api.rate_limit > 0) return within_rate(loop, request, std::move(client), handler);
    return handler(request, std::move(client));
  };
}

runtime::HttpHandler admitted_with_json(ApiLoop& loop, Scope scope, ApiHandler handler, bool may_be_empty) {
  return admitted(loop, scope,
                  [handler = std::move(handler), may_be_empty](HttpRequest& request,
                                                               std::string client) -> Async<HttpResponse> {
                    const bool empty = request.body.empty() && may_be_empty;
                    if (!empty && !is_json(request.header("content-type")))
                      co_return refusal(request, 415, "unsupported_media_type", "the body must be JSON",
                                        "send Content-Type: application/json");
                    if (!request.header("content-encoding").empty())
                      co_return refusal(request, 415, "unsupported_media_type",
                                        "the body must not be encoded");
                    co_return co_await handler(request, std::move(client));
                  });
}

}  // namespace flux::api
