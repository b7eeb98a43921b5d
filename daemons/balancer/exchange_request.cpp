// The request's way: kept, sent, and its body streamed behind it.

#include <algorithm>

#include "common/core/log.hpp"
#include "daemons/balancer/client_connection.hpp"
#include "daemons/balancer/exchange.hpp"
#include "daemons/balancer/field_lists.hpp"
#include "daemons/balancer/upstream_connection.hpp"
#include "daemons/balancer/worker.hpp"

namespace flux::balancer {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void write_hex(char* out, std::uint64_t value) {
  for (int i = 15; i >= 0; --i, value >>= 4) out[i] = kHex[value & 0xf];
}

}  // namespace

std::size_t write_chunk_size(char* out, std::size_t size) {
  char digits[16];
  write_hex(digits, size);
  std::size_t first = 0;
  while (first < 15 && digits[first] == '0') ++first;
  const std::size_t n = 16 - first;
  std::copy(digits + first, digits + 16, out);
  out[n] = '\r';
  out[n + 1] = '\n';
  return n + 2;
}

Exchange::Exchange(Worker& worker, ClientConnection& client)
    : worker_(worker), client_(client), began_ns_(worker.loop().now_ns()) {}

Exchange::~Exchange() = default;

void Exchange::begin(const RequestHead& head, char* rest, std::size_t size) {
  const Settings& settings = worker_.settings();
  http11_ = head.http11;
  is_head_ = head.is_head;
  idempotent_ = head.idempotent;
  keep_client_ = head.keep_alive;
  upgrade_ = head.upgrade;
  request_body_ = BodyReader(head.framing, head.content_length);
  chunk_request_ = head.framing == BodyFraming::chunked;
  if (settings.algorithm == Algorithm::hash) {
    switch (settings.hash_by) {
      case HashBy::path: key_ = hash_bytes(head.path()); break;
      case HashBy::header: key_ = hash_bytes(head.hashed_field); break;
      case HashBy::cookie: key_ = hash_bytes(cookie_value(head.cookie, settings.hash_name)); break;
    }
  }
  if (!settings.sticky_cookie.empty()) {
    const auto value = cookie_value(head.cookie, settings.sticky_cookie);
    if (value.size() == 16) sticky_ = std::strtoull(std::string(value).c_str(), nullptr, 16);
    set_sticky_ = true;
  }
  write_request(head);
  take_request_body(rest, size, true);
  if (ended_) return;
  if (!request_body_.done() && !head.expects_continue) client_.expect_body();
  pool_ = worker_.dispatch().pool_for(head.path());
  if (pool_ == nullptr) return answer(503, "no_upstream_configured", false);
  worker_.dispatch().submit(*this);
}

void Exchange::write_request(const RequestHead& head) {
  kept_.append(head.method);
  kept_.append(" ");
  target_at_ = static_cast<std::uint16_t>(kept_.size());
  target_size_ = static_cast<std::uint16_t>(std::min<std::size_t>(head.target.size(), 0xffff));
  kept_.append(head.target);
  kept_.append(" HTTP/1.1\r\nHost: ");
  kept_.append(head.host);
  kept_.append("\r\n");
  for (const auto& run : head.kept) kept_.append(run.text());
  if (head.upgrade) {
    kept_.append("Connection: upgrade\r\nUpgrade: ");
    kept_.append(head.upgrade_to);
    kept_.append("\r\n");
  }
  write_forwarded(head);
  if (head.request_id.empty()) {
    char id[32];
    write_hex(id, worker_.dispatch().random().next());
    write_hex(id + 16, worker_.dispatch().random().next());
    kept_.append("X-Request-Id: ");
    id_at_ = static_cast<std::uint16_t>(kept_.size());
    id_size_ = sizeof id;
    kept_.append(id, sizeof id);
    kept_.append("\r\n");
  } else {
    const auto at = kept_.view().find(head.request_id);
    id_at_ = static_cast<std::uint16_t>(at);
    id_size_ = static_cast<std::uint16_t>(head.request_id.size());
  }
  if (head.traceparent.empty()) {
    char ids[48];
    for (std::size_t at = 0; at < sizeof ids; at += 16)
      write_hex(ids + at, worker_.dispatch().random().next());
    kept_.append("traceparent: 00-");
    kept_.append(ids, 32);
    kept_.append("-");
    kept_.append(ids + 32, 16);
    kept_.append("-01\r\n");
  }
  kept_.append("\r\n");
}

// What an untrusted client says about who it is, is replaced.
void Exchange::write_forwarded(const RequestHead& head) {
  const bool trusted = client_.trusted();
  kept_.append("X-Forwarded-For: ");
  for (std::size_t i = 0; trusted && i < head.forwarded_for_count; ++i) {
    kept_.append(head.forwarded_for[i]);
    kept_.append(", ");
  }
  kept_.append(client_.address());
  kept_.append("\r\nX-Forwarded-Proto: ");
  kept_.append(trusted && !head.forwarded_proto.empty() ? head.forwarded_proto : "http");
  const auto host = trusted && !head.forwarded_host.empty() ? head.forwarded_host : head.host;
  if (!host.empty()) {
    kept_.append("\r\nX-Forwarded-Host: ");
    kept_.append(host);
  }
  if (trusted && !head.forwarded.empty()) {
    kept_.append("\r\nForwarded: ");
    kept_.append(head.forwarded);
    const bool v6 = client_.address().find(':') != std::string::npos;
    kept_.append(v6 ? ", for=\"[" : ", for=");
    kept_.append(client_.address());
    if (v6) kept_.append("]\"");
  }
  kept_.append("\r\n");
}

// Bytes that came with the head are kept with it; later ones go straight on.
void Exchange::take_request_body(char* data, std::size_t size, bool into_kept_request) {
  if (size == 0 && !request_body_.done()) return;
  const bool was_done = request_body_.done();
  const auto piece = request_body_.read(data, size);
  if (!piece.error.empty()) {
    reason_ = piece.error;
    return answer(400, piece.error, true);
  }
  bytes_in_ += piece.payload.size();
  client_.count_body(piece.consumed);
  if (piece.consumed < size) client_.put_back(data + piece.consumed, size - piece.consumed);
  char line[20];
  std::array<iovec, 4> pieces{};
  std::size_t count = 0;
  const auto add = [&](const char* bytes, std::size_t n) { pieces[count++] = {const_cast<char*>(bytes), n}; };
  if (!piece.payload.empty()) {
    if (chunk_request_) add(line, write_chunk_size(line, piece.payload.size()));
    add(piece.payload.data(), piece.payload.size());
    if (chunk_request_) add("\r\n", 2);
  }
  const bool ends = !was_done && request_body_.done();
  if (ends && chunk_request_) add("0\r\n\r\n", 5);
  if (ends) client_.body_done();
  if (count == 0) return;
  if (into_kept_request) {
    for (std::size_t i = 0; i < count; ++i)
      kept_.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    return;
  }
  body_streamed_ = true;
  if (!connection_->send(pieces.data(), count)) on_send_failed();
}

// An upstream that closes in the middle of a request may have said why.
void Exchange::on_send_failed() {
  upstream_deaf_ = true;
  connection_->look_again();
  read_response();
  if (!ended_ && !answer_begun_ && upstream_deaf_)
    on_upstream_failed(UpstreamFailure::closed, "upstream_reset");
}

void Exchange::attach(UpstreamSlot& slot) {
  slot_ = &slot;
  attached_ns_ = worker_.loop().now_ns();
  if (attempts_ < tried_.size()) tried_[attempts_] = slot.shared.get();
  ++attempts_;
  if (attempts_ > 1) slot.counters->retries.add();
  slot.counters->requests.add();
  kept_sent_ = 0;
  sent_any_ = false;
  upstream_deaf_ = false;
  scan_ = {};
  connection_ = stale_retry_ ? nullptr : worker_.dispatch().take_idle(slot, idempotent_);
  if (connection_ != nullptr) {
    connection_->serve(*this);
    return send_request();
  }
  int failure = 0;
  connection_ = UpstreamConnection::open(worker_, slot, failure);
  if (connection_ == nullptr)
    return on_upstream_failed(UpstreamFailure::connect, failure == EMFILE || failure == ENFILE
                                                            ? "out_of_descriptors"
                                                            : "connect_failed");
  connection_->serve(*this);
}

void Exchange::on_connected() {
  send_request();
}

void Exchange::send_request() {
  while (kept_sent_ < kept_.size()) {
    const iovec piece{kept_.data() + kept_sent_, kept_.size() - kept_sent_};
    const IoResult result = write_some(connection_->fd(), &piece, 1);
    if (result.state == IoState::failed) return on_upstream_failed(UpstreamFailure::closed, "upstream_reset");
    if (result.state == IoState::blocked) return;  // on_upstream_ready goes on
    sent_any_ = true;
    kept_sent_ += result.bytes;
  }
  if (!request_body_.done() && client_.readable()) read_request_body();
}

bool Exchange::wants_request_body() const {
  return !ended_ && !upstream_deaf_ && !request_body_.done() && connection_ != nullptr &&
         connection_->connected() && kept_sent_ == kept_.size() && connection_->out.empty();
}

void Exchange::read_request_body() {
  while (wants_request_body() && client_.readable()) {
    const IoResult result = client_.read(worker_.client_buffer(), Worker::kBufferSize);
    if (result.state == IoState::blocked) return;
    if (result.state != IoState::done) {
      // The client broke its request off; nobody can be answered.
      on_client_gone();
      return client_.abort();
    }
    take_request_body(worker_.client_buffer(), result.bytes, false);
  }
}

void Exchange::on_client_readable() {
  if (tunnel_ == Tunnel::open) return run_tunnel();
  if (!request_body_.done()) read_request_body();
}

void Exchange::on_request_too_slow() {
  answer(408, "request body too slow", true);
}

}  // namespace flux::balancer
