#include "common/engines/embedded/embedded_ledger.hpp"
#include "common/ports/ledger_errors.hpp"
#include "common/workflow/workflow_document.hpp"

namespace flux::embedded {
namespace {

constexpr std::string_view kUpsertRun =
    "INSERT INTO runs (run_id, workflow_id, workflow_version, status, input, created_at, finished_at, steps) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET status = excluded.status, "
    "finished_at = excluded.finished_at, steps = excluded.steps";
constexpr std::string_view kInsertRun =
    "INSERT INTO runs (run_id, workflow_id, workflow_version, status, input, created_at, finished_at, steps) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING";
// All but the steps, which only get_run wants.
constexpr std::string_view kRunColumns =
    "SELECT run_id, workflow_id, workflow_version, status, input, created_at, finished_at FROM runs ";

std::optional<std::int64_t> unix_us(const std::optional<WallTime>& time) {
  return time ? std::optional{flux::unix_us(*time)} : std::nullopt;
}

Result<> write_run(SqliteDatabase& database, std::string_view sql, const Run& run) {
  return database.run(sql, blob(run.id), blob(run.workflow_id), run.workflow_version,
                      static_cast<std::int64_t>(run.status), run.input_json, flux::unix_us(run.created_at),
                      unix_us(run.finished_at), encode_step_runs(run.steps));
}

Run run_of(const SqliteStatement& row) {
  Run run{.id = uuid_at(row, 0),
          .workflow_id = uuid_at(row, 1),
          .workflow_version = row.integer(2),
          .status = static_cast<RunStatus>(row.integer(3)),
          .input_json = row.text(4),
          .created_at = from_unix_us(row.integer(5)),
          .steps = {}};
  if (!row.is_null(6)) run.finished_at = from_unix_us(row.integer(6));
  return run;
}

Result<Workflow> read_workflow(SqliteDatabase& database, const Uuid& id) {
  auto statement = database.prepare("SELECT name, version, steps FROM workflows WHERE workflow_id = ?");
  if (!statement) return statement.error();
  auto row = statement->with(blob(id)).step();
  if (!row) return row.error();
  if (!*row) return unknown_workflow(id);
  auto steps = decode_steps(statement->view(2));
  if (!steps) return steps.error();
  return Workflow{id, statement->text(0), statement->integer(1), std::move(*steps)};
}

}  // namespace

Result<Workflow> EmbeddedLedger::create_workflow(const Workflow& workflow) {
  return file_->write([&](SqliteDatabase& database) -> Result<Workflow> {
    const std::string steps = encode_steps(workflow.steps);
    if (auto inserted = database.run("INSERT INTO workflows (workflow_id, name, version, steps) "
                                     "VALUES (?, ?, 1, ?) ON CONFLICT (workflow_id) DO NOTHING",
                                     blob(workflow.id), workflow.name, steps);
        !inserted)
      return inserted.error();
    auto stored = read_workflow(database, workflow.id);
    if (stored && (stored->name != workflow.name || encode_steps(stored->steps) != steps))
      return workflow_exists(workflow.id);
    return stored;
  });
}

Result<Workflow> EmbeddedLedger::get_workflow(const Uuid& id) {
  return file_->read([&](SqliteDatabase& database) { return read_workflow(database, id); });
}

Result<Workflow> EmbeddedLedger::update_workflow(const Workflow& workflow,
                                                 std::optional<std::int64_t> expected_version) {
  return file_->write([&](SqliteDatabase& database) -> Result<Workflow> {
    auto present = read_workflow(database, workflow.id);
    if (!present) return present;
    if (expected_version && *expected_version != present->version)
      return stale_workflow(workflow.id, *expected_version, present->version);
    if (auto updated = database.run("UPDATE workflows SET name = ?, version = version + 1, steps = ? "
                                    "WHERE workflow_id = ?",
                                    workflow.name, encode_steps(workflow.steps), blob(workflow.id));
        !updated)
      return updated.error();
    return Workflow{workflow.id, workflow.name, present->version + 1, workflow.steps};
  });
}

Result<> EmbeddedLedger::create_run(const Run& run) {
  return file_->write([&](SqliteDatabase& database) { return write_run(database, kInsertRun, run); });
}

Result<> EmbeddedLedger::delete_queued_run(const Uuid& id) {
  return file_->write([&](SqliteDatabase& database) -> Result<> {
    if (auto deleted = database.run("DELETE FROM runs WHERE run_id = ? AND status = ?", blob(id),
                                    static_cast<std::int64_t>(RunStatus::queued));
        !deleted)
      return deleted.error();
    if (database.changes() == 1) return {};
    auto statement = database.prepare("SELECT 1 FROM runs WHERE run_id = ?");
    if (!statement) return statement.error();
    auto row = statement->with(blob(id)).step();
    if (!row) return row.error();
    if (*row) return run_past_queued(id);
    return {};
  });
}

Result<Run> EmbeddedLedger::get_run(const Uuid& id) {
  return file_->read([&](SqliteDatabase& database) -> Result<Run> {
    auto statement = database.prepare(
        "SELECT run_id, workflow_id, workflow_version, status, input, created_at, finished_at, steps FROM "
        "runs "
        "WHERE run_id = ?");
    if (!statement) return statement.error();
    auto row = statement->with(blob(id)).step();
    if (!row) return row.error();
    if (!*row) return unknown_run(id);
    Run run = run_of(*statement);
    auto steps = decode_step_runs(statement->view(7));
    if (!steps) return steps.error();
    run.steps = std::move(*steps);
    return run;
  });
}

Result<std::vector<Run>> EmbeddedLedger::list_runs(const RunQuery& query) {
  return file_->read([&](SqliteDatabase& database) -> Result<std::vector<Run>> {
    std::string sql{kRunColumns};
    sql += "WHERE TRUE";
    if (query.before) sql += " AND run_id < ?1";
    if (query.status) sql += " AND status = ?2";
    if (query.workflow_id) sql += " AND workflow_id = ?3";
    sql += " ORDER BY run_id DESC LIMIT ?4";
    auto statement = database.prepare(sql);
    if (!statement) return statement.error();
    if (query.before) statement->bind(1, blob(*query.before));
    if (query.status) statement->bind(2, static_cast<std::int64_t>(*query.status));
    if (query.workflow_id) statement->bind(3, blob(*query.workflow_id));
    statement->bind(4, row_limit(query.limit));
    return collect(*statement, run_of);
  });
}

Result<> EmbeddedLedger::save_run(const Run& run, const PartitionClaim& claim) {
  return file_->write([&](SqliteDatabase& database) -> Result<> {
    auto offset = partition_offset(database, claim);
    if (!offset) return offset.error();
    if (auto held = check_claim(claim, *offset); !held) return held.error();
    return write_run(database, kUpsertRun, run);
  });
}

Result<> EmbeddedLedger::finish_run(const Run& run, const OffsetRange& range) {
  if (auto valid = check_ranges({range}); !valid) return valid.error();
  return file_->write([&](SqliteDatabase& database) -> Result<> {
    auto verdict = move_offsets(database, {range});
    if (!verdict) return verdict.error();
    if (*verdict == FenceVerdict::repeated) return {};
    return write_run(database, kUpsertRun, run);
  });
}

Result<std::vector<Run>> EmbeddedLedger::queued_runs_before(WallTime before, std::size_t max) {
  return file_->read([&](SqliteDatabase& database) -> Result<std::vector<Run>> {
    auto statement = database.prepare(std::string{kRunColumns} +
                                      "WHERE status = ? AND created_at < ? ORDER BY run_id LIMIT ?");
    if (!statement) return statement.error();
    return collect(
        statement->with(static_cast<std::int64_t>(RunStatus::queued), flux::unix_us(before), row_limit(max)),
        run_of);
  });
}

}  // namespace flux::embedded
