#include "daemons/api/workflow_routes.hpp"

#include "common/core/log.hpp"
#include "common/http/entity_tag.hpp"
#include "common/workflow/trigger_event.hpp"
#include "daemons/api/admit_request.hpp"
#include "daemons/api/cached_response.hpp"
#include "daemons/api/documents.hpp"
#include "daemons/api/request_bodies.hpp"

namespace flux::api {
namespace {

constexpr Duration kWorkflowTtl = std::chrono::seconds{60};

HttpResponse no_workflow(const HttpRequest& request) {
  return refusal(request, 404, "not_found", "no such workflow");
}

HttpResponse stale_version(const HttpRequest& request) {
  return refusal(request, 412, "conflict", "the workflow has changed since the version in If-Match",
                 "read it again and repeat the change");
}

HttpResponse workflow_response(int status, const Workflow& workflow) {
  HttpResponse response{.status = status, .body = workflow_document(workflow)};
  response.add_header("ETag", version_tag(workflow));
  return response;
}

Async<Result<Workflow>> read_ledger(ApiLoop& loop, const Uuid& id) {
  return loop.shared.on_ledger([id](Ledger& ledger) { return ledger.get_workflow(id); });
}

Async<Result<Workflow>> create_in_ledger(ApiLoop& loop, Workflow workflow) {
  return loop.shared.on_ledger(
      [workflow = std::move(workflow)](Ledger& ledger) { return ledger.create_workflow(workflow); });
}

Async<Result<Workflow>> update_in_ledger(ApiLoop& loop, Workflow workflow,
                                         std::optional<std::int64_t> expected) {
  return loop.shared.on_ledger([workflow = std::move(workflow), expected](Ledger& ledger) {
    return ledger.update_workflow(workflow, expected);
  });
}

Async<Result<>> create_in_ledger(ApiLoop& loop, Run run) {
  return loop.shared.on_ledger([run = std::move(run)](Ledger& ledger) { return ledger.create_run(run); });
}

Async<Result<>> delete_from_ledger(ApiLoop& loop, const Uuid& run_id) {
  return loop.shared.on_ledger([run_id](Ledger& ledger) { return ledger.delete_queued_run(run_id); });
}

Async<HttpResponse> create_workflow(ApiLoop& loop, HttpRequest& request) {
  auto workflow = parse_workflow_request(request.body);
  if (!workflow) co_return failure(loop.shared, request, workflow.error());
  workflow->id = new_uuid(loop.shared.clock);
  const auto created = co_await create_in_ledger(loop, *workflow);
  if (!created) co_return failure(loop.shared, request, created.error());
  auto response = workflow_response(201, *created);
  response.add_header("Location", "/v1/workflows/" + created->id.to_string());
  co_return response;
}

Async<HttpResponse> read_workflow(ApiLoop& loop, CachedReads& reads, HttpRequest& request) {
  const auto id = Uuid::parse(request.params.at(0));
  if (!id) co_return no_workflow(request);
  const auto fill = [&loop, id = *id]() -> Async<Result<FilledDocument>> {
    const auto found = co_await read_ledger(loop, id);
    if (!found) co_return found.error();
    co_return FilledDocument{version_tag(*found), workflow_document(*found)};
  };
  const auto document = co_await reads.get(workflow_cache_key(*id), "workflow", kWorkflowTtl, fill);
  if (document) co_return cached_response(request, *document);
  if (document.error().code == Errc::not_found) co_return no_workflow(request);
  co_return failure(loop.shared, request, document.error());
}

Async<HttpResponse> change_workflow(ApiLoop& loop, CachedReads& reads, HttpRequest& request) {
  const auto id = Uuid::parse(request.params.at(0));
  if (!id) co_return no_workflow(request);
  auto workflow = parse_workflow_request(request.body);
  if (!workflow) co_return failure(loop.shared, request, workflow.error());
  workflow->id = *id;
  std::optional<std::int64_t> expected;
  const auto wanted = request.header("if-match");
  if (!wanted.empty()) {
    const auto present = co_await read_ledger(loop, *id);
    if (!present)
      co_return present.error().code == Errc::not_found ? no_workflow(request)
                                                        : failure(loop.shared, request, present.error());
    if (!any_tag_matches_strongly(wanted, version_tag(*present))) co_return stale_version(request);
    expected = present->version;
  }
  const auto changed = co_await update_in_ledger(loop, *workflow, expected);
  if (changed) {
    co_await reads.drop(workflow_cache_key(*id));
    co_return workflow_response(200, *changed);
  }
  if (changed.error().code == Errc::not_found) co_return no_workflow(request);
  if (changed.error().code == Errc::conflict) co_return stale_version(request);
  // It may have happened; what is cached must not outlive it.
  if (changed.error().code == Errc::timed_out) co_await reads.drop(workflow_cache_key(*id));
  co_return failure(loop.shared, request, changed.error());
}

Run queued_run(const Workflow& workflow, std::string input, const Clock& clock) {
  Run run;
  run.id = new_uuid(clock);
  run.workflow_id = workflow.id;
  run.workflow_version = workflow.version;
  run.input_json = std::move(input);
  run.created_at = from_unix_ms(unix_ms(clock.wall()));
  for (const auto& step : workflow.steps) run.steps.push_back({.name = step.name});
  return run;
}

Async<HttpResponse> trigger_workflow(ApiLoop& loop, HttpRequest& request) {
  const auto id = Uuid::parse(request.params.at(0));
  if (!id) co_return no_workflow(request);
  auto input = parse_trigger_request(request.body);
  if (!input) co_return failure(loop.shared, request, input.error());
  if (!loop.shared.breakers.event_log.would_permit())
    co_return failure(loop.shared, request, {Errc::unavailable, "the event log's circuit breaker is open"});
  const auto workflow = co_await read_ledger(loop, *id);
  if (!workflow)
    co_return workflow.error().code == Errc::not_found ? no_workflow(request)
                                                       : failure(loop.shared, request, workflow.error());
  const auto run = queued_run(*workflow, std::move(*input), loop.shared.clock);
  const auto created = co_await create_in_ledger(loop, run);
  if (!created) co_return failure(loop.shared, request, created.error());

  Record record{kTriggerTopic, run.workflow_id.to_string(), encode_trigger_event({run.id, run.workflow_id})};
  record.headers.emplace_back("traceparent", request.trace.traceparent());
  record.headers.emplace_back("x-request-id", request.request_id);
  const auto appended = co_await guarded(loop.shared.breakers.event_log,
                                         loop.producer->append(std::move(record)), Probing::never);
  co_await begin_run_generation(loop);
  if (appended) co_return HttpResponse{.status = 202, .body = queued_document(run.id)};
  const auto& error = appended.error();
  if (error.code != Errc::maybe_persisted && error.code != Errc::timed_out) {
    const auto deleted = co_await delete_from_ledger(loop, run.id);
    if (!deleted)
      log::warning("a run whose event was not appended stays queued",
                   {{"run", run.id.to_string()}, {"why", deleted.error().message}});
  }
  co_return failure(loop.shared, request,
                    error.code == Errc::not_found ? Error{Errc::unavailable, error.message} : error);
}

}  // namespace

std::string workflow_cache_key(const Uuid& workflow_id) {
  return "workflow:" + workflow_id.to_string();
}

void add_workflow_routes(runtime::RouteTable& routes, ApiLoop& loop, CachedReads& reads) {
  routes.add("POST", "/v1/workflows",
             admitted_with_json(loop, Scope::admin, [&loop](HttpRequest& request, const std::string&) {
               return create_workflow(loop, request);
             }));
  routes.add("GET", "/v1/workflows/{id}",
             admitted(loop, Scope::read, [&loop, &reads](HttpRequest& request, const std::string&) {
               return read_workflow(loop, reads, request);
             }));
  routes.add(
      "PUT", "/v1/workflows/{id}",
      admitted_with_json(loop, Scope::admin, [&loop, &reads](HttpRequest& request, const std::string&) {
        return change_workflow(loop, reads, request);
      }));
  routes.add(
      "POST", "/v1/workflows/{id}/trigger",
      admitted_with_json(
          loop, Scope::admin,
          [&loop](HttpRequest& request, const std::string&) { return trigger_workflow(loop, request); },
          true));
}

}  // namespace flux::api
