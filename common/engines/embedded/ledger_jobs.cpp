#include "common/engines/embedded/embedded_ledger.hpp"
#include "common/ports/ledger_errors.hpp"

namespace flux::embedded {
namespace {

constexpr auto kRunning = static_cast<std::int64_t>(JobStatus::running);

}  // namespace

Result<> EmbeddedLedger::put_job(const Job& job) {
  return file_->write([&](SqliteDatabase& database) {
    return database.run(
        "INSERT INTO jobs (job_id, type, payload, priority, status, attempts, due_at, last_error) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job_id) DO NOTHING",
        blob(job.id), job.type, Blob{job.payload}, std::int64_t{job.priority},
        static_cast<std::int64_t>(job.status), std::int64_t{job.attempts}, unix_us(job.not_before),
        job.last_error);
  });
}

Result<std::vector<Job>> EmbeddedLedger::take_due_jobs(const std::string& type, WallTime now, Duration lease,
                                                       std::size_t max) {
  return file_->write([&](SqliteDatabase& database) -> Result<std::vector<Job>> {
    auto due = database.prepare(
        "SELECT job_id, type, payload, priority, due_at, attempts, last_error FROM jobs "
        "WHERE type = ? AND status IN (0, 1) AND due_at <= ? ORDER BY priority DESC, due_at, job_id LIMIT ?");
    if (!due) return due.error();
    auto jobs = collect(due->with(type, unix_us(now), row_limit(max)), [](const SqliteStatement& row) {
      Job job{.id = uuid_at(row, 0),
              .type = row.text(1),
              .payload = row.text(2),
              .priority = static_cast<std::int32_t>(row.integer(3)),
              .not_before = from_unix_us(row.integer(4)),
              .status = JobStatus::running,
              .attempts = static_cast<std::int32_t>(row.integer(5) + 1)};
      if (!row.is_null(6)) job.last_error = row.text(6);
      return job;
    });
    if (!jobs) return jobs.error();
    auto take =
        database.prepare("UPDATE jobs SET status = ?, attempts = attempts + 1, due_at = ? WHERE job_id = ?");
    if (!take) return take.error();
    const auto lease_end = unix_us(now + std::chrono::duration_cast<WallTime::duration>(lease));
    for (const Job& job : *jobs)
      if (auto taken = take->with(kRunning, lease_end, blob(job.id)).run(); !taken) return taken.error();
    return jobs;
  });
}

Result<> EmbeddedLedger::finish_job(const Job& job) {
  return file_->write([&](SqliteDatabase& database) -> Result<> {
    if (auto updated = database.run(
            "UPDATE jobs SET status = ?, due_at = ?, last_error = ? WHERE job_id = ? AND attempts = ?",
            static_cast<std::int64_t>(job.status), unix_us(job.not_before), job.last_error, blob(job.id),
            std::int64_t{job.attempts});
        !updated)
      return updated.error();
    if (database.changes() == 1) return {};
    auto statement = database.prepare("SELECT attempts FROM jobs WHERE job_id = ?");
    if (!statement) return statement.error();
    auto row = statement->with(blob(job.id)).step();
    if (!row) return row.error();
    return *row ? job_taken_again(job.id) : unknown_job(job.id);
  });
}

Result<> EmbeddedLedger::audit(const AuditEvent& event) {
  return file_->write([&](SqliteDatabase& database) {
    return database.run("INSERT INTO audit (at, actor, action, detail) VALUES (?, ?, ?, ?)",
                        unix_us(event.at), event.actor, event.action, event.detail_json);
  });
}

Result<std::vector<AuditEvent>> EmbeddedLedger::recent_audit(std::size_t limit) {
  return file_->read([&](SqliteDatabase& database) -> Result<std::vector<AuditEvent>> {
    auto statement =
        database.prepare("SELECT at, actor, action, detail FROM audit ORDER BY audit_id DESC LIMIT ?");
    if (!statement) return statement.error();
    return collect(statement->with(row_limit(limit)), [](const SqliteStatement& row) {
      return AuditEvent{from_unix_us(row.integer(0)), row.text(1), row.text(2), row.text(3)};
    });
  });
}

Result<> EmbeddedLedger::ping(Duration) {
  return file_->read([](SqliteDatabase& database) { return database.run("SELECT 1 FROM offsets LIMIT 1"); });
}

}  // namespace flux::embedded
