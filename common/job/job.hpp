#pragma once
// A job: one piece of background work of a configured type, with a priority, a
// time before which it must not start, and a bounded number of attempts.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/core/clock.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"

namespace flux {

enum class JobStatus : std::uint8_t { waiting, running, succeeded, dead };

std::string_view to_string(JobStatus status);
Result<JobStatus> parse_job_status(std::string_view text);

struct Job {
  Uuid id;
  std::string type;
  std::string payload;
  std::int32_t priority = 0;  // higher runs first
  WallTime not_before{};
  JobStatus status = JobStatus::waiting;
  std::int32_t attempts = 0;
  std::optional<std::string> last_error{};
};

}  // namespace flux
