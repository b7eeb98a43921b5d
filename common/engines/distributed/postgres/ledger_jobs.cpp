#include <algorithm>
#include <tuple>

#include "common/engines/distributed/postgres/postgres_ledger.hpp"
#include "common/ports/ledger_errors.hpp"

namespace flux::postgres {

Result<> PostgresLedger::put_job(const Job& job) {
  auto rows =
      run({"INSERT INTO flux.jobs (job_id, type, payload, priority, status, attempts, due_at, last_error) "
           "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (job_id) DO NOTHING",
           Parameters{}
               .uuid(job.id)
               .text(job.type)
               .bytes(job.payload)
               .int32(job.priority)
               .int16(static_cast<std::int16_t>(job.status))
               .int32(job.attempts)
               .time(job.not_before)
               .optional_text(job.last_error)});
  if (!rows) return rows.error();
  return {};
}

Result<std::vector<Job>> PostgresLedger::take_due_jobs(const std::string& type, WallTime now, Duration lease,
                                                       std::size_t max) {
  auto rows =
      run({"WITH due AS (SELECT job_id, due_at FROM flux.jobs WHERE type = $1 AND status IN (0, 1) AND "
           "due_at <= $2 "
           "ORDER BY priority DESC, due_at, job_id LIMIT $4 FOR UPDATE SKIP LOCKED) "
           "UPDATE flux.jobs j SET status = 1, attempts = j.attempts + 1, due_at = $3 FROM due "
           "WHERE j.job_id = due.job_id "
           "RETURNING j.job_id, j.type, j.payload, j.priority, due.due_at, j.attempts, j.last_error",
           Parameters{}
               .text(type)
               .time(now)
               .time(now + std::chrono::duration_cast<WallTime::duration>(lease))
               .integer(row_limit(max))});
  if (!rows) return rows.error();
  auto jobs = collect(*rows, [](const Rows& r, int i) {
    Job job{.id = r.uuid(i, 0),
            .type = r.text(i, 1),
            .payload = r.text(i, 2),
            .priority = static_cast<std::int32_t>(r.integer(i, 3)),
            .not_before = r.time(i, 4),
            .status = JobStatus::running,
            .attempts = static_cast<std::int32_t>(r.integer(i, 5))};
    if (!r.is_null(i, 6)) job.last_error = r.text(i, 6);
    return job;
  });
  std::ranges::sort(jobs, [](const Job& a, const Job& b) {
    return std::tuple{-a.priority, a.not_before, a.id} < std::tuple{-b.priority, b.not_before, b.id};
  });
  return jobs;
}

Result<> PostgresLedger::finish_job(const Job& job) {
  auto results = run({{"UPDATE flux.jobs SET status = $3, due_at = $4, last_error = $5 WHERE job_id = $1 AND "
                       "attempts = $2 RETURNING 1",
                       Parameters{}
                           .uuid(job.id)
                           .int32(job.attempts)
                           .int16(static_cast<std::int16_t>(job.status))
                           .time(job.not_before)
                           .optional_text(job.last_error)},
                      {"SELECT 1 FROM flux.jobs WHERE job_id = $1", Parameters{}.uuid(job.id)}});
  if (!results) return results.error();
  if ((*results)[0].count() == 1) return {};
  return (*results)[1].count() == 1 ? job_taken_again(job.id) : unknown_job(job.id);
}

Result<> PostgresLedger::audit(const AuditEvent& event) {
  auto rows = run({"INSERT INTO flux.audit (at, actor, action, detail) VALUES ($1, $2, $3, $4)",
                   Parameters{}.time(event.at).text(event.actor).text(event.action).text(event.detail_json)});
  if (!rows) return rows.error();
  return {};
}

Result<std::vector<AuditEvent>> PostgresLedger::recent_audit(std::size_t limit) {
  auto rows = run({"SELECT at, actor, action, detail FROM flux.audit ORDER BY audit_id DESC LIMIT $1",
                   Parameters{}.integer(row_limit(limit))});
  if (!rows) return rows.error();
  return collect(*rows, [](const Rows& r, int i) {
    return AuditEvent{r.time(i, 0), r.text(i, 1), r.text(i, 2), r.text(i, 3)};
  });
}

}  // namespace flux::postgres
