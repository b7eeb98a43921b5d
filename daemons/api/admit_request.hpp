#pragma once
// What stands before every /v1 handler: the token and its scope, the client's
// rate, and the body's type.

#include <functional>
#include <string>

#include "common/http/access_tokens.hpp"
#include "daemons/api/api_state.hpp"

namespace flux::api {

// `client` names who asks; see client_of().
using ApiHandler = std::function<Async<HttpResponse>(HttpRequest& request, std::string client)>;

runtime::HttpHandler admitted(ApiLoop& loop, Scope scope, ApiHandler handler);
// The same for requests with a JSON body: 415 unless it says that it is one. An
// empty body is passed on only when `may_be_empty`.
runtime::HttpHandler admitted_with_json(ApiLoop& loop, Scope scope, ApiHandler handler,
                                        bool may_be_empty = false);

}  // namespace flux::api
