// The answer's way: its head checked and forwarded by gathering, its body streamed.

#include <algorithm>
#include <cstdio>

#include "common/core/log.hpp"
#include "daemons/balancer/client_connection.hpp"
#include "daemons/balancer/exchange.hpp"
#include "daemons/balancer/upstream_connection.hpp"
#include "daemons/balancer/worker.hpp"

namespace flux::balancer {

std::size_t write_chunk_size(char* out, std::size_t size);

namespace {

// Of one answer, before the thread's other connections have a turn.
constexpr std::size_t kMostAtOnce = 4 << 20;
constexpr HeadLimits kAnswerLimits{.bytes = 60 << 10, .fields = 120};

iovec piece_of(std::string_view text) {
  return {const_cast<char*>(text.data()), text.size()};
}

}  // namespace

void Exchange::on_upstream_ready(bool writable) {
  if (tunnel_ == Tunnel::open) return run_tunnel();
  if (writable && kept_sent_ < kept_.size()) send_request();
  if (ended_ || connection_ == nullptr) return;
  if (writable && !connection_->out.empty()) {
    if (!connection_->flush()) return on_send_failed();
  }
  if (!request_body_.done() && client_.readable()) read_request_body();
  if (!ended_ && connection_ != nullptr && connection_->readable()) read_response();
}

void Exchange::on_client_drained() {
  if (tunnel_ == Tunnel::open) return run_tunnel();
  if (connection_ != nullptr && connection_->readable()) read_response();
}

void Exchange::read_response() {
  char* const buffer = worker_.upstream_buffer();
  UpstreamConnection* const connection = connection_;
  std::size_t taken = 0;
  while (!ended_ && connection_ == connection && connection->readable() && client_.drained()) {
    if (taken > kMostAtOnce) {
      yielded_ = true;
      return connection->set_deadline(worker_.loop().timers(), worker_.loop().now_ms());
    }
    const std::size_t before = connection->in.size();
    const IoResult result = connection->read(buffer + before, Worker::kBufferSize - before);
    if (result.state == IoState::blocked) return;
    taken += result.bytes;
    if (result.state == IoState::closed && saw_final_head_ && response_body_.may_end_at_close()) {
      if (chunk_answer_) {
        const iovec last = piece_of("0\r\n\r\n");
        client_.send(&last, 1);
      }
      upstream_keeps_ = false;
      return on_response_end();
    }
    if (result.state != IoState::done)
      return on_upstream_failed(UpstreamFailure::closed, answer_begun_ ? "upstream_truncated"
                                                         : before != 0 ? "upstream_truncated_head"
                                                                       : "upstream_closed");
    connection->set_deadline(worker_.loop().timers(),
                             worker_.loop().now_ms() + worker_.settings().upstream.response_timeout_ms);
    if (saw_final_head_) {
      std::array<iovec, 4> pieces;
      relay_body(pieces.data(), 0, buffer, result.bytes);
      continue;
    }
    connection->in.take_all(buffer);
    if (!take_response_head(buffer, before + result.bytes)) return;
  }
}

// False: nothing more is to be read for now.
bool Exchange::take_response_head(char* data, std::size_t size) {
  for (;;) {
    const ScanState state = scan_.feed({data, size}, kAnswerLimits);
    if (state == ScanState::refused) return bad_response(scan_.refusal.reason), false;
    if (state == ScanState::incomplete) return connection_->in.append(data, size), true;
    const std::size_t length = scan_.length;
    scan_ = {};
    ResponseHead head;
    const auto problem = parse_response_head({data, length}, is_head_, head);
    if (!problem.empty()) return bad_response(problem), false;
    if (head.status >= 200 || head.status == 101) return start_answer(head, data + length, size - length);
    // Interim answers pass; HTTP/1.0 clients do not know them.
    if (http11_) {
      std::array<iovec, 140> pieces;
      std::size_t count = 0;
      pieces[count++] = piece_of("HTTP/1.1");
      pieces[count++] = piece_of(head.status_line_rest);
      for (const auto& run : head.kept) pieces[count++] = piece_of(run.text());
      pieces[count++] = piece_of("\r\n");
      client_.send(pieces.data(), count);
    }
    if (head.status == 100 && !request_body_.done()) client_.expect_body();
    data += length;
    size -= length;
    if (size == 0) return true;
  }
}

bool Exchange::start_answer(const ResponseHead& head, char* rest, std::size_t size) {
  if (head.status == 101 && !(upgrade_ && !head.upgrade_to.empty()))
    return bad_response("101 without a request to upgrade"), false;
  if (head.status >= 500 && repeat_instead(head)) return false;
  status_ = static_cast<std::int16_t>(head.status);
  saw_final_head_ = true;
  answer_begun_ = true;
  upstream_keeps_ = head.keep_alive;
  const UpstreamLimits& limits = worker_.settings().upstream;
  keep_ms_ = static_cast<std::uint32_t>(
      head.keep_alive_seconds == 0
          ? limits.idle_timeout_ms
          : std::min<std::int64_t>(limits.idle_timeout_ms, head.keep_alive_seconds * 1000LL - 500));
  const std::int64_t now = worker_.loop().now_ns();
  slot_->shared->last_answer.store(now, std::memory_order_relaxed);
  if (head.status < 500)
    slot_->shared->on_success(now);
  else if (slot_->shared->on_failure(now, FailureKind::status_5xx, worker_.dispatch().random().unit()))
    log::warning("upstream ejected", {{"upstream", slot_->shared->id}, {"reason", "consecutive 5xx"}});
  response_body_ = BodyReader(head.framing, head.content_length);
  if (head.framing == BodyFraming::chunked && !http11_ && !(head.transfer_codings.size() == 7))
    return bad_response("a transfer coding for an HTTP/1.0 client"), false;
  chunk_answer_ =
      http11_ && (head.framing == BodyFraming::chunked || head.framing == BodyFraming::until_close);
  const bool ends_by_close =
      !http11_ && (head.framing == BodyFraming::chunked || head.framing == BodyFraming::until_close);
  if (ends_by_close || worker_.draining() || !request_body_.done()) keep_client_ = false;

  std::string& extra = worker_.extra_fields();
  extra.clear();
  if (head.status == 101) {
    extra += "Connection: upgrade\r\nUpgrade: ";
    extra += head.upgrade_to;
    extra += "\r\n";
  } else if (!keep_client_) {
    extra += "Connection: close\r\n";
  } else if (!http11_) {
    extra += "Connection: keep-alive\r\n";
  }
  if (chunk_answer_) {
    extra += "Transfer-Encoding: ";
    extra += head.framing == BodyFraming::chunked ? head.transfer_codings : "chunked";
    extra += "\r\n";
  }
  if (!head.has_request_id) {
    extra += "X-Request-Id: ";
    extra += request_id();
    extra += "\r\n";
  }
  if (set_sticky_ && slot_->shared->identity != sticky_) {
    char value[24];
    std::snprintf(value, sizeof value, "%016llx", static_cast<unsigned long long>(slot_->shared->identity));
    extra += "Set-Cookie: " + worker_.settings().sticky_cookie + "=" + value + "; Path=/; HttpOnly\r\n";
  }
  extra += "\r\n";

  std::array<iovec, 140> pieces;
  std::size_t count = 0;
  pieces[count++] = piece_of("HTTP/1.1");
  pieces[count++] = piece_of(head.status_line_rest);
  for (const auto& run : head.kept) pieces[count++] = piece_of(run.text());
  pieces[count++] = piece_of(extra);
  if (head.status == 101) {
    client_.send(pieces.data(), count);
    open_tunnel(rest, size);
    return false;
  }
  relay_body(pieces.data(), count, rest, size);
  return true;
}

// Sends `count` pieces and what `data` holds of the body behind them.
void Exchange::relay_body(iovec* pieces, std::size_t count, char* data, std::size_t size) {
  const auto piece = response_body_.read(data, size);
  if (!piece.error.empty()) {
    if (count != 0) return bad_response(piece.error);  // the head is not out yet
    return on_upstream_failed(UpstreamFailure::protocol, piece.error);
  }
  bytes_out_ += piece.payload.size();
  char line[20];
  if (!piece.payload.empty()) {
    if (chunk_answer_) pieces[count++] = {line, write_chunk_size(line, piece.payload.size())};
    pieces[count++] = {const_cast<char*>(piece.payload.data()), piece.payload.size()};
    if (chunk_answer_) pieces[count++] = piece_of("\r\n");
  }
  const bool ends = response_body_.done();
  if (ends && chunk_answer_) {
    // One piece less: the end of the chunk and the end of the body are neighbours.
    if (!piece.payload.empty())
      pieces[count - 1] = piece_of("\r\n0\r\n\r\n");
    else
      pieces[count++] = piece_of("0\r\n\r\n");
  }
  if (count != 0) client_.send(pieces, count);
  if (client_.peer_gone()) {
    on_client_gone();
    return client_.exchange_done(true, true);
  }
  if (ends) {
    if (piece.consumed < size) upstream_keeps_ = false;  // bytes nobody asked for
    on_response_end();
  }
}

void Exchange::on_response_end() {
  const bool request_sent = request_body_.done() && kept_sent_ == kept_.size() && connection_->out.empty();
  finish(upstream_keeps_ && request_sent);
}

void Exchange::finish(bool reusable) {
  record_end();
  leave_upstream(reusable);
  client_.exchange_done(!keep_client_ || !request_body_.done(), request_body_.done());
}

void Exchange::leave_upstream(bool reusable) {
  if (connection_ != nullptr) {
    connection_->finish(reusable, keep_ms_);
    connection_ = nullptr;
  }
  if (pool_ == nullptr) return;
  worker_.dispatch().stop_waiting(*this);
  worker_.dispatch().release(*this);
}

void Exchange::record_end() {
  ended_ = true;
  const std::int64_t now = worker_.loop().now_ns();
  if (slot_ != nullptr && saw_final_head_) {
    TrafficCounters& counters = *slot_->counters;
    counters.by_class[static_cast<std::size_t>(status_ / 100)].add();
    counters.record_latency(static_cast<std::uint64_t>((now - attached_ns_) / 1000));
    if (worker_.settings().algorithm == Algorithm::peak_ewma) {
      auto& ewma = slot_->shared->ewma_ns;
      const std::int64_t since = now - slot_->ewma_at_ns;
      slot_->ewma_at_ns = now;
      ewma.store(peak_ewma(ewma.load(std::memory_order_relaxed), static_cast<double>(now - attached_ns_),
                           Duration{since}, std::chrono::seconds{10}),
                 std::memory_order_relaxed);
    }
  }
  if (AccessLog* log = worker_.access_log(); log != nullptr) {
    const auto kept = kept_.view();
    log->write({.address = client_.address(),
                .method = kept.substr(0, target_at_ != 0 ? target_at_ - 1U : 0),
                .target = kept.substr(target_at_, target_size_),
                .http11 = http11_,
                .status = status_,
                .bytes_in = bytes_in_,
                .bytes_out = bytes_out_,
                .duration_ns = now - began_ns_,
                .upstream = slot_ != nullptr ? std::string_view(slot_->shared->id) : std::string_view{},
                .attempts = attempts_,
                .reason = reason_,
                .request_id = request_id()});
  }
}

}  // namespace flux::balancer
