#include "common/job/job.hpp"

namespace flux {

std::string_view to_string(JobStatus status) {
  switch (status) {
    case JobStatus::waiting: return "waiting";
    case JobStatus::running: return "running";
    case JobStatus::succeeded: return "succeeded";
    case JobStatus::dead: return "dead";
  }
  return "waiting";
}

Result<JobStatus> parse_job_status(std::string_view text) {
  for (const auto status : {JobStatus::waiting, JobStatus::running, JobStatus::succeeded, JobStatus::dead})
    if (text == to_string(status)) return status;
  return Error{Errc::invalid_argument, "unknown job status '" + std::string(text) + "'"};
}

}  // namespace flux
