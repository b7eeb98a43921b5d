// What happens when something breaks: repeated elsewhere while nobody has seen
// anything of it, said with its reason, or broken off so that the client notices.

#include <cstdio>

#include "common/core/log.hpp"
#include "common/http/problem.hpp"
#include "daemons/balancer/client_connection.hpp"
#include "daemons/balancer/exchange.hpp"
#include "daemons/balancer/upstream_connection.hpp"
#include "daemons/balancer/worker.hpp"

namespace flux::balancer {
namespace {

constexpr std::uint8_t kMostAttempts = 5;

}  // namespace

bool Exchange::tried(const Upstream* upstream) const {
  for (const Upstream* one : tried_)
    if (one == upstream) return true;
  return false;
}

// Repeating is allowed where doing it twice is the same as once, or where
// nothing of the request can have arrived.
bool Exchange::may_repeat() const {
  return !ended_ && !answer_begun_ && !body_streamed_ && attempts_ < kMostAttempts &&
         (idempotent_ || !sent_any_);
}

void Exchange::on_upstream_failed(UpstreamFailure failure, std::string_view reason) {
  if (ended_ || slot_ == nullptr) return;
  reason_ = reason;
  Upstream* const failed = slot_->shared.get();
  // A kept connection that turns out to be closed says nothing about the
  // upstream: it may have been idle for too long in its eyes.
  const bool stale = connection_ != nullptr && connection_->reused() && failure == UpstreamFailure::closed &&
                     !answer_begun_ && connection_->in.empty();
  slot_->counters->failures.add();
  if (failure == UpstreamFailure::connect) slot_->counters->connect_failures.add();
  if (!stale && failed->on_failure(worker_.loop().now_ns(), FailureKind::unreachable,
                                   worker_.dispatch().random().unit()))
    log::warning("upstream ejected", {{"upstream", failed->id}, {"reason", std::string(reason)}});
  if (answer_begun_) {
    log::info("answer broken off", {{"upstream", failed->id}, {"reason", std::string(reason)}});
    worker_.count_truncated();
    record_end();
    leave_upstream(false);
    return client_.abort();
  }
  const bool repeat = failure != UpstreamFailure::protocol && may_repeat() &&
                      !(failure == UpstreamFailure::timeout && sent_any_);
  // One more try at the same upstream is fair when only its kept connection was stale.
  if (stale && !stale_retry_ && repeat) {
    stale_retry_ = true;
    tried_[attempts_ - 1U] = nullptr;
  } else {
    stale_retry_ = false;
  }
  leave_upstream(false);
  if (repeat) return worker_.dispatch().resubmit(*this);
  answer(failure == UpstreamFailure::timeout ? 504 : 502, reason, false);
}

void Exchange::on_upstream_deadline() {
  if (tunnel_ == Tunnel::open) {
    record_end();
    leave_upstream(false);
    return client_.abort();
  }
  if (yielded_) {
    yielded_ = false;
    connection_->set_deadline(worker_.loop().timers(),
                              worker_.loop().now_ms() + worker_.settings().upstream.response_timeout_ms);
    return read_response();
  }
  // A client that takes its answer slowly is watched by its own deadline.
  if (!client_.drained() || (!request_body_.done() && wants_request_body())) {
    connection_->set_deadline(worker_.loop().timers(),
                              worker_.loop().now_ms() + worker_.settings().upstream.response_timeout_ms);
    return;
  }
  if (!connection_->connected()) return on_upstream_failed(UpstreamFailure::connect, "connect_timeout");
  on_upstream_failed(UpstreamFailure::timeout, "response_timeout");
}

void Exchange::bad_response(std::string_view reason) {
  answer_begun_ = false;  // refused before anything of it went out
  saw_final_head_ = false;
  log::warning("upstream answer refused", {{"upstream", slot_->shared->id}, {"reason", std::string(reason)}});
  on_upstream_failed(UpstreamFailure::protocol, reason);
}

// A failing upstream's 5xx is not the last word while another one may do better.
bool Exchange::repeat_instead(const ResponseHead& head) {
  if (head.has_retry_after || head.status == 501 || head.status > 504) return false;
  if (!idempotent_ || !may_repeat() || !worker_.dispatch().another_upstream(*this)) return false;
  const bool failing = slot_->shared->on_failure(worker_.loop().now_ns(), FailureKind::status_5xx,
                                                 worker_.dispatch().random().unit());
  if (failing)
    log::warning("upstream ejected", {{"upstream", slot_->shared->id}, {"reason", "consecutive 5xx"}});
  slot_->counters->by_class[5].add();
  slot_->shared->last_answer.store(worker_.loop().now_ns(), std::memory_order_relaxed);
  reason_ = "upstream_5xx";
  stale_retry_ = false;
  leave_upstream(false);
  worker_.dispatch().resubmit(*this);
  return true;
}

void Exchange::on_client_gone() {
  if (ended_) return;
  if (reason_.empty()) reason_ = "client_gone";
  if (status_ == 0) status_ = 499;
  record_end();
  leave_upstream(false);
}

void Exchange::give_up_waiting() {
  answer(503, reason_.empty() ? "queue_timeout" : reason_, false);
}

void Exchange::refuse_head(const Refusal& refusal) {
  request_body_ = BodyReader(BodyFraming::until_close, 0);  // what follows is anybody's guess
  answer(refusal.status, refusal.reason, true);
}

void Exchange::answer(int status, std::string_view reason, bool close) {
  if (ended_) return;
  reason_ = reason;
  status_ = static_cast<std::int16_t>(status);
  const bool already_begun = answer_begun_;
  if (status >= 500) {
    worker_.count_own_answer(status);
    log::info("no answer from an upstream",
              {{"status", std::to_string(status)},
               {"reason", std::string(reason)},
               {"target", std::string(kept_.view().substr(target_at_, target_size_))},
               {"request_id", std::string(request_id())}});
  }
  const bool request_read = request_body_.done();
  if (close || !request_read || worker_.draining()) keep_client_ = false;
  record_end();
  leave_upstream(false);
  if (already_begun) return client_.abort();  // the client has part of another answer
  const std::string body = to_json({.status = status,
                                    .detail = std::string(reason),
                                    .code = {},
                                    .hint = {},
                                    .instance = std::string(request_id())});
  std::string text = "HTTP/1.1 " + std::to_string(status) + " ";
  text += reason_phrase(status);
  text += "\r\nContent-Type: application/problem+json\r\nContent-Length: " + std::to_string(body.size());
  text += "\r\nX-Flux-Reason: ";
  text += reason;
  if (id_size_ != 0) {
    text += "\r\nX-Request-Id: ";
    text += request_id();
  }
  if (status == 503) text += "\r\nRetry-After: 1";
  if (status == 405) text += "\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
  text += keep_client_ ? (http11_ ? "\r\n\r\n" : "\r\nConnection: keep-alive\r\n\r\n")
                       : "\r\nConnection: close\r\n\r\n";
  if (!is_head_) text += body;
  const iovec piece{text.data(), text.size()};
  client_.send(&piece, 1);
  client_.exchange_done(!keep_client_, request_read);
}

}  // namespace flux::balancer
