#include "common/engines/distributed/postgres/postgres_ledger.hpp"
#include "common/ports/ledger_errors.hpp"
#include "common/workflow/workflow_document.hpp"

namespace flux::postgres {
namespace {

// $1 to $8, as run_parameters() fills them.
constexpr std::string_view kInsertRun =
    "INSERT INTO flux.runs (run_id, workflow_id, workflow_version, status, input, created_at, finished_at, "
    "steps) "
    "SELECT $1, $2, $3, $4, $5, $6, $7, $8 ";
constexpr std::string_view kOrReplace =
    "ON CONFLICT (run_id) DO UPDATE SET status = excluded.status, finished_at = excluded.finished_at, "
    "steps = excluded.steps RETURNING 1";
// All but the steps, which only get_run wants.
constexpr std::string_view kSelectRuns =
    "SELECT run_id, workflow_id, workflow_version, status, input, created_at, finished_at FROM flux.runs ";

Parameters run_parameters(const Run& run) {
  Parameters parameters;
  parameters.uuid(run.id)
      .uuid(run.workflow_id)
      .integer(run.workflow_version)
      .int16(static_cast<std::int16_t>(run.status))
      .text(run.input_json)
      .time(run.created_at)
      .optional_time(run.finished_at)
      .text(encode_step_runs(run.steps));
  return parameters;
}

Parameters& with_claim(Parameters& parameters, const PartitionClaim& claim) {
  return parameters.text(claim.group)
      .text(claim.source.topic)
      .int32(claim.source.partition)
      .integer(claim.epoch);
}

Run run_of(const Rows& rows, int i) {
  return {.id = rows.uuid(i, 0),
          .workflow_id = rows.uuid(i, 1),
          .workflow_version = rows.integer(i, 2),
          .status = static_cast<RunStatus>(rows.integer(i, 3)),
          .input_json = rows.text(i, 4),
          .created_at = rows.time(i, 5),
          .finished_at = rows.optional_time(i, 6),
          .steps = {}};
}

Statement select_workflow(const Uuid& id) {
  return {"SELECT name, version, steps FROM flux.workflows WHERE workflow_id = $1", Parameters{}.uuid(id)};
}

Result<Workflow> workflow_of(const Uuid& id, const Rows& rows) {
  if (rows.count() == 0) return unknown_workflow(id);
  auto steps = decode_steps(rows.view(0, 2));
  if (!steps) return steps.error();
  return Workflow{id, rows.text(0, 0), rows.integer(0, 1), std::move(*steps)};
}

}  // namespace

Result<Workflow> PostgresLedger::create_workflow(const Workflow& workflow) {
  auto results =
      run({{"INSERT INTO flux.workflows (workflow_id, name, version, steps) VALUES ($1, $2, 1, $3) "
            "ON CONFLICT (workflow_id) DO NOTHING RETURNING 1",
            Parameters{}.uuid(workflow.id).text(workflow.name).text(encode_steps(workflow.steps))},
           select_workflow(workflow.id)});
  if (!results) return results.error();
  auto stored = workflow_of(workflow.id, (*results)[1]);
  const bool created = (*results)[0].count() == 1;
  if (stored && !created &&
      (stored->name != workflow.name || encode_steps(stored->steps) != encode_steps(workflow.steps)))
    return workflow_exists(workflow.id);
  return stored;
}

Result<Workflow> PostgresLedger::get_workflow(const Uuid& id) {
  auto rows = run(select_workflow(id));
  if (!rows) return rows.error();
  return workflow_of(id, *rows);
}

Result<Workflow> PostgresLedger::update_workflow(const Workflow& workflow,
                                                 std::optional<std::int64_t> expected_version) {
  auto results = run({{"UPDATE flux.workflows SET name = $2, version = version + 1, steps = $3 "
                       "WHERE workflow_id = $1 AND ($4 IS NULL OR version = $4) RETURNING 1",
                       Parameters{}
                           .uuid(workflow.id)
                           .text(workflow.name)
                           .text(encode_steps(workflow.steps))
                           .optional_integer(expected_version)},
                      select_workflow(workflow.id)});
  if (!results) return results.error();
  auto stored = workflow_of(workflow.id, (*results)[1]);
  if (stored && (*results)[0].count() == 0)
    return stale_workflow(workflow.id, expected_version.value_or(0), stored->version);
  return stored;
}

Result<> PostgresLedger::create_run(const Run& made) {
  auto rows = run({std::string{kInsertRun} + "ON CONFLICT (run_id) DO NOTHING", run_parameters(made)});
  if (!rows) return rows.error();
  return {};
}

Result<> PostgresLedger::delete_queued_run(const Uuid& id) {
  auto results = run({{"DELETE FROM flux.runs WHERE run_id = $1 AND status = 0", Parameters{}.uuid(id)},
                      {"SELECT 1 FROM flux.runs WHERE run_id = $1", Parameters{}.uuid(id)}});
  if (!results) return results.error();
  if ((*results)[1].count() > 0) return run_past_queued(id);
  return {};
}

Result<Run> PostgresLedger::get_run(const Uuid& id) {
  auto rows =
      run({"SELECT run_id, workflow_id, workflow_version, status, input, created_at, finished_at, steps "
           "FROM flux.runs WHERE run_id = $1",
           Parameters{}.uuid(id)});
  if (!rows) return rows.error();
  if (rows->count() == 0) return unknown_run(id);
  Run found = run_of(*rows, 0);
  auto steps = decode_step_runs(rows->view(0, 7));
  if (!steps) return steps.error();
  found.steps = std::move(*steps);
  return found;
}

Result<std::vector<Run>> PostgresLedger::list_runs(const RunQuery& query) {
  const auto status = query.status ? std::optional{static_cast<std::int16_t>(*query.status)} : std::nullopt;
  // The values are known when this is planned, so tests against NULL cost nothing.
  auto rows = run({std::string{kSelectRuns} +
                       "WHERE ($1 IS NULL OR status = $1) AND ($2 IS NULL OR workflow_id = $2) AND "
                       "($3 IS NULL OR run_id < $3) ORDER BY run_id DESC LIMIT $4",
                   Parameters{}
                       .optional_int16(status)
                       .optional_uuid(query.workflow_id)
                       .optional_uuid(query.before)
                       .integer(row_limit(query.limit))});
  if (!rows) return rows.error();
  return collect(*rows, run_of);
}

Result<> PostgresLedger::save_run(const Run& saved, const PartitionClaim& claim) {
  Parameters parameters = run_parameters(saved);
  with_claim(parameters, claim);
  auto results =
      run({{"WITH held AS (SELECT 1 FROM flux.offsets WHERE consumer_group = $9 AND topic = $10 AND "
            "partition = $11 AND epoch = $12 FOR SHARE) " +
                std::string{kInsertRun} + "FROM held " + std::string{kOrReplace},
            std::move(parameters)},
           select_offset(claim)});
  if (!results) return results.error();
  if ((*results)[0].count() == 1) return {};
  if (auto held = check_claim(claim, offset_of((*results)[1])); !held) return held;
  return Error{Errc::unavailable, "another transaction was moving this offset", "", true};
}

Result<> PostgresLedger::finish_run(const Run& finished, const OffsetRange& range) {
  if (auto valid = check_ranges({range}); !valid) return valid;
  Parameters parameters = run_parameters(finished);
  with_claim(parameters, *range.claim).integer(range.from).integer(range.to);
  auto results =
      run({{"WITH moved AS (UPDATE flux.offsets SET next_offset = $14 WHERE consumer_group = $9 AND "
            "topic = $10 AND partition = $11 AND epoch = $12 AND next_offset = $13 RETURNING 1) " +
                std::string{kInsertRun} + "FROM moved " + std::string{kOrReplace},
            std::move(parameters)},
           select_offset(*range.claim)});
  if (!results) return results.error();
  if ((*results)[0].count() == 1) return {};
  return explain_fence(range, (*results)[1]);
}

Result<std::vector<Run>> PostgresLedger::queued_runs_before(WallTime before, std::size_t max) {
  auto rows = run({std::string{kSelectRuns} + "WHERE status = 0 AND created_at < $1 ORDER BY run_id LIMIT $2",
                   Parameters{}.time(before).integer(row_limit(max))});
  if (!rows) return rows.error();
  return collect(*rows, run_of);
}

}  // namespace flux::postgres
