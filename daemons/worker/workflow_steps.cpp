#include "daemons/worker/workflow_steps.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "common/http/http_client.hpp"

namespace flux::worker {
namespace {

constexpr std::size_t kKeepOfBody = 4096;

}  // namespace

boost::asio::awaitable<Result<std::string>> run_http_step(HttpStep step, StepAttempt attempt) {
  http::ClientRequest request;
  request.url = step.url;
  request.method = step.method;
  request.headers = step.headers;
  request.body = step.body;
  request.timeout = step.timeout;
  const auto given = [&](std::string_view name) {
    return std::ranges::any_of(step.headers, [&](const auto& header) {
      return std::ranges::equal(header.first, name, {},
                                [](char c) { return std::tolower(static_cast<unsigned char>(c)); });
    });
  };
  if (!given("idempotency-key")) request.headers.emplace_back("Idempotency-Key", attempt.idempotency_key);
  if (!given("traceparent") && !attempt.traceparent.empty())
    request.headers.emplace_back("traceparent", attempt.traceparent);
  if (!given("content-type") && !step.body.empty())
    request.headers.emplace_back("Content-Type", "application/json");

  auto reply = co_await http::request(std::move(request));
  if (!reply) co_return reply.error();
  const bool expected =
      step.expect != 0 ? reply->status == step.expect : reply->status >= 200 && reply->status < 300;
  const std::string kept = reply->body.substr(0, kKeepOfBody);
  if (!expected) {
    // The other side may recover from 5xx, 408 and 429; it will not change its mind about the rest.
    const bool retryable = reply->status >= 500 || reply->status == 408 || reply->status == 429;
    co_return Error{Errc::internal, step.url + " answered " + std::to_string(reply->status) + ": " + kept, "",
                    retryable};
  }
  boost::system::error_code ec;
  boost::json::value body = boost::json::parse(kept, ec);
  if (ec) body = boost::json::string(kept);
  co_return boost::json::serialize(boost::json::value{{"status", reply->status}, {"body", std::move(body)}});
}

boost::asio::awaitable<Result<std::string>> run_emit_step(EmitStep step, StepAttempt attempt,
                                                          EventProducer& producer) {
  Record record{step.topic, step.key, step.value};
  record.headers.emplace_back("idempotency-key", attempt.idempotency_key);
  if (!attempt.traceparent.empty()) record.headers.emplace_back("traceparent", attempt.traceparent);
  auto position = co_await producer.append(std::move(record));
  if (!position) {
    Error error = position.error();
    // An emit is at-least-once, so an unknown outcome is tried again.
    error.retryable = error.retryable || error.code == Errc::maybe_persisted || error.code == Errc::timed_out;
    co_return error;
  }
  co_return boost::json::serialize(boost::json::value{
      {"topic", step.topic}, {"partition", position->partition}, {"offset", position->offset}});
}

Duration sleep_left(const SleepStep& step, WallTime started, WallTime now) {
  return std::max<Duration>(Duration{}, step.duration - (now - started));
}

RetrySettings retry_settings(const StepSettings& settings) {
  if (const auto* http = std::get_if<HttpStep>(&settings)) return http->retry;
  if (const auto* emit = std::get_if<EmitStep>(&settings)) return emit->retry;
  return {.attempts = 1};
}

}  // namespace flux::worker
