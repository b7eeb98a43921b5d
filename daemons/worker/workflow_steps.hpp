#pragma once
// Runs one attempt of one step. Steps are at-least-once: an attempt that was cut
// off by a crash is made again, so HTTP steps carry an Idempotency-Key of their own.

#include <boost/asio/awaitable.hpp>
#include <string>

#include "common/ports/event_log.hpp"
#include "common/workflow/step_settings.hpp"

namespace flux::worker {

struct StepAttempt {
  std::string idempotency_key;  // the same for every attempt of this step of this run
  std::string traceparent;      // passed on; may be empty
};

// The step's output as JSON. An error with retryable = false ends the step at once
// (a 4xx answer, a topic that does not exist). Sleeping is not done here: see sleep_left.
boost::asio::awaitable<Result<std::string>> run_http_step(HttpStep step, StepAttempt attempt);
boost::asio::awaitable<Result<std::string>> run_emit_step(EmitStep step, StepAttempt attempt,
                                                          EventProducer& producer);

// A sleep counts from the step's start, so a resumed run does not sleep again from the beginning.
Duration sleep_left(const SleepStep& step, WallTime started, WallTime now);

RetrySettings retry_settings(const StepSettings& settings);

}  // namespace flux::worker
