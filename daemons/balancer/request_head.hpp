#pragma once
// One request head, read with Beast and checked for everything that a second
// parser behind the proxy could understand differently (RFC 9110, 9112). Views
// point into the bytes it was read from.

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>

#include "daemons/balancer/body_stream.hpp"
#include "daemons/balancer/head_scan.hpp"

namespace flux::balancer {

// Field lines that are forwarded as they came: neighbouring lines are one run.
class KeptLines {
 public:
  void add(const char* begin, const char* end) {
    if (count_ != 0 && runs_[count_ - 1].end == begin)
      runs_[count_ - 1].end = end;
    else
      runs_[count_++] = {begin, end};
  }
  struct Run {
    const char* begin;
    const char* end;
    std::string_view text() const { return {begin, static_cast<std::size_t>(end - begin)}; }
  };
  const Run* begin() const { return runs_.data(); }
  const Run* end() const { return runs_.data() + count_; }
  std::size_t size() const { return count_; }

 private:
  static constexpr std::size_t kMost = 128;  // above any HeadLimits::fields
  std::array<Run, kMost> runs_;
  std::size_t count_ = 0;
};

struct RequestHead {
  std::string_view method;
  std::string_view target;  // origin-form (or *), ready to be sent on
  std::string_view host;    // the authority of an absolute target, else the Host field
  bool http11 = true;
  bool is_head = false;
  bool keep_alive = true;
  bool idempotent = false;  // by method (RFC 9110 section 9.2.2) or by an Idempotency-Key
  bool expects_continue = false;
  bool upgrade = false;  // asks for a protocol that is tunnelled after 101
  BodyFraming framing = BodyFraming::none;
  std::uint64_t content_length = 0;
  std::string_view upgrade_to;
  std::string_view request_id;   // "" when there is none that may be carried
  std::string_view traceparent;  // "" when there is none
  // As received; only trusted peers are believed.
  std::array<std::string_view, 4> forwarded_for;  // lines in their order; the first ones give way
  std::size_t forwarded_for_count = 0;
  std::string_view forwarded_proto;
  std::string_view forwarded_host;
  std::string_view forwarded;
  std::string_view cookie;
  std::string_view user_agent;
  std::string_view referer;
  KeptLines kept;
  // The value of any other field (first one), for hashing by header.
  std::string_view hashed_field;

  // The bytes before '?' of the target.
  std::string_view path() const { return target.substr(0, target.find('?')); }
};

// `head` is complete and passed HeadScan. `hash_field` names the field whose
// value is wanted in hashed_field ("" for none). Returns nothing or why not.
Refusal parse_request_head(std::string_view head, std::string_view hash_field, RequestHead& out);

// The value of a cookie, or "".
std::string_view cookie_value(std::string_view cookies, std::string_view name);

}  // namespace flux::balancer
