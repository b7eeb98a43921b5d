#include "common/http/entity_tag.hpp"
#include "daemons/api/admit_request.hpp"
#include "daemons/api/cached_response.hpp"
#include "daemons/api/documents.hpp"
#include "daemons/api/request_bodies.hpp"
#include "daemons/api/workflow_routes.hpp"

namespace flux::api {
namespace {

constexpr Duration kRunTtl = std::chrono::seconds{5};
constexpr Duration kRunListTtl = std::chrono::seconds{2};
constexpr const char* kGenerationKey = "runs:generation";

Async<HttpResponse> read_run(ApiLoop& loop, CachedReads& reads, HttpRequest& request) {
  const auto id = Uuid::parse(request.params.at(0));
  if (!id) co_return refusal(request, 404, "not_found", "no such run");
  const auto fill = [&loop, id = *id]() -> Async<Result<FilledDocument>> {
    const auto run = co_await loop.shared.on_ledger([id](Ledger& ledger) { return ledger.get_run(id); });
    if (!run) co_return run.error();
    auto body = run_document(*run);
    auto tag = entity_tag_of(body);
    co_return FilledDocument{std::move(tag), std::move(body)};
  };
  const auto document = co_await reads.get(run_cache_key(*id), "run", kRunTtl, fill);
  if (document) co_return cached_response(request, *document);
  if (document.error().code == Errc::not_found)
    co_return refusal(request, 404, "not_found", "no run " + id->to_string());
  co_return failure(loop.shared, request, document.error());
}

std::string list_cache_key(const std::string& generation, const RunQuery& query) {
  std::string key = "runs:" + generation + ':';
  if (query.status) key += to_string(*query.status);
  key += ':' + (query.workflow_id ? query.workflow_id->to_string() : "") + ':' + std::to_string(query.limit) +
         ':' + (query.before ? query.before->to_string() : "");
  return key;
}

Async<HttpResponse> list_runs(ApiLoop& loop, CachedReads& reads, HttpRequest& request) {
  const auto query = parse_run_query(request.query);
  if (!query) co_return failure(loop.shared, request, query.error());
  const auto generation = co_await loop.on_store(loop.store->cache_get(kGenerationKey));
  const auto fill = [&loop, query = *query]() -> Async<Result<FilledDocument>> {
    RunQuery one_more = query;
    ++one_more.limit;  // tells whether there is a next page
    auto runs =
        co_await loop.shared.on_ledger([one_more](Ledger& ledger) { return ledger.list_runs(one_more); });
    if (!runs) co_return runs.error();
    std::optional<Uuid> next;
    if (runs->size() > query.limit) {
      runs->resize(query.limit);
      next = runs->back().id;
    }
    auto body = run_list_document(*runs, next);
    auto tag = entity_tag_of(body);
    co_return FilledDocument{std::move(tag), std::move(body)};
  };
  const std::string name = generation && *generation ? **generation : "0";
  const auto document = co_await reads.get(list_cache_key(name, *query), "run_list", kRunListTtl, fill);
  if (document) co_return cached_response(request, *document);
  co_return failure(loop.shared, request, document.error());
}

}  // namespace

std::string run_cache_key(const Uuid& run_id) {
  return "run:" + run_id.to_string();
}

Async<void> begin_run_generation(ApiLoop& loop) {
  auto name = new_uuid(loop.shared.clock).to_string();
  (void)co_await loop.on_store(loop.store->cache_put(kGenerationKey, std::move(name), std::chrono::hours{1}));
}

void add_run_routes(runtime::RouteTable& routes, ApiLoop& loop, CachedReads& reads) {
  routes.add("GET", "/v1/runs",
             admitted(loop, Scope::read, [&loop, &reads](HttpRequest& request, const std::string&) {
               return list_runs(loop, reads, request);
             }));
  routes.add("GET", "/v1/runs/{id}",
             admitted(loop, Scope::read, [&loop, &reads](HttpRequest& request, const std::string&) {
               return read_run(loop, reads, request);
             }));
}

}  // namespace flux::api
