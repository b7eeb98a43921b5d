#pragma once
// /v1/workflows and /v1/runs: define, trigger, watch.

#include "daemons/api/api_state.hpp"
#include "daemons/api/cached_reads.hpp"
#include "daemons/runtime/route_table.hpp"

namespace flux::api {

inline constexpr const char* kTriggerTopic = "workflow.trigger";

// Cache keys; the worker drops run_cache_key() when it changes a run.
std::string workflow_cache_key(const Uuid& workflow_id);
std::string run_cache_key(const Uuid& run_id);

void add_workflow_routes(runtime::RouteTable& routes, ApiLoop& loop, CachedReads& reads);
void add_run_routes(runtime::RouteTable& routes, ApiLoop& loop, CachedReads& reads);

// Lists of runs are cached under the name of a generation, which every trigger changes.
Async<void> begin_run_generation(ApiLoop& loop);

}  // namespace flux::api
