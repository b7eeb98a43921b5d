#include "daemons/balancer/request_head.hpp"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>

#include "daemons/balancer/field_lists.hpp"

namespace flux::balancer {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

constexpr std::size_t kMostFields = 128;

struct FieldLine {
  std::string_view name;
  bool kept;
};

// A longest value that is carried as X-Request-Id; anything stranger is replaced.
bool is_carried_id(std::string_view id) {
  if (id.empty() || id.size() > 128) return false;
  for (const char c : id)
    if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == ',') return false;
  return true;
}

// uri-host [ ":" port ], RFC 3986 section 3.2.2; no user information.
bool is_authority(std::string_view host) {
  if (host.empty() || host.size() > 255) return false;
  std::string_view port;
  bool has_port = false;
  if (host.front() == '[') {
    const auto close = host.find(']');
    if (close == std::string_view::npos) return false;
    for (const char c : host.substr(1, close - 1))
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
            c == '.'))
        return false;
    if (close == 1) return false;
    const auto rest = host.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return false;
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else {
    const auto colon = host.find(':');
    has_port = colon != std::string_view::npos;
    if (has_port) port = host.substr(colon + 1);
    const auto name = host.substr(0, colon);
    if (name.empty()) return false;
    for (const char c : name)
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            std::string_view("-._~!$&'()*+;=%").find(c) != std::string_view::npos))
        return false;
  }
  if (port.size() > 5) return false;
  unsigned number = 0;
  for (const char c : port) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return number <= 65535;
}

// "Content_Length" and the like: some servers read '_' as '-', others do not.
bool imitates_framing(std::string_view name) {
  if (name.find('_') == std::string_view::npos) return false;
  char copy[20];
  if (name.size() > sizeof copy) return false;
  for (std::size_t i = 0; i < name.size(); ++i) copy[i] = name[i] == '_' ? '-' : name[i];
  const std::string_view dashed(copy, name.size());
  return equal_ignoring_case(dashed, "content-length") || equal_ignoring_case(dashed, "transfer-encoding");
}

class RequestParser final : public http::basic_parser<true> {
 public:
  RequestParser(RequestHead& out, std::string_view hash_field) : out_(out), hash_field_(hash_field) {
    eager(false);
    skip(true);
    header_limit(1 << 20);  // HeadScan has limited it
    body_limit(boost::none);
  }

  Refusal finish(const char* fields_end) {
    if (!refusal_.reason.empty()) return refusal_;
    if (out_.http11 && hosts_ == 0) return {400, "no Host field"};
    if (hosts_ > 1) return {400, "more than one Host field"};
    if (const auto refused = check_target(); !refused.reason.empty()) return refused;
    if (hosts_ == 1 && !is_authority(host_field_)) return {400, "invalid Host"};
    if (out_.host.empty()) out_.host = host_field_;
    if (const auto refused = check_framing(); !refused.reason.empty()) return refused;
    if (connection_.broken) return {400, "Connection is not a list of tokens"};
    out_.keep_alive = out_.http11 ? !connection_.close : connection_.keep_alive && !connection_.close;
    out_.upgrade = connection_.upgrade && out_.http11 && is_token(upgrade_token()) &&
                   !equal_ignoring_case(out_.upgrade_to, "h2c");
    for (std::size_t i = 0; i < count_; ++i) {
      const FieldLine& field = fields_[i];
      if (!field.kept) continue;
      if (connection_.named_count != 0 && connection_.names(field.name) &&
          may_be_named_hop_by_hop(field.name))
        continue;
      out_.kept.add(field.name.data(), i + 1 < count_ ? fields_[i + 1].name.data() : fields_end);
    }
    return {400, {}};
  }

 private:
  std::string_view upgrade_token() const { return out_.upgrade_to.substr(0, out_.upgrade_to.find('/')); }

  Refusal check_target() {
    std::string_view target = out_.target;
    for (const char c : target)
      if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f || c == '#')
        return {400, "invalid request target"};
    if (out_.method == "CONNECT") return {405, "CONNECT is not offered"};
    if (target == "*") return out_.method == "OPTIONS" ? Refusal{} : Refusal{400, "invalid request target"};
    if (target.starts_with('/')) return {};
    const auto scheme_end = target.find("://");
    if (scheme_end == std::string_view::npos) return {400, "invalid request target"};
    const auto scheme = target.substr(0, scheme_end);
    if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https"))
      return {400, "invalid request target"};
    target.remove_prefix(scheme_end + 3);
    const auto path = target.find_first_of("/?");
    out_.host = target.substr(0, path);
    if (!is_authority(out_.host)) return {400, "invalid request target"};
    if (path == std::string_view::npos)
      out_.target = out_.method == "OPTIONS" ? "*" : "/";
    else if (target[path] == '?')
      return {400, "invalid request target"};
    else
      out_.target = target.substr(path);
    return {};
  }

  Refusal check_framing() {
    if (codings_.any()) {
      if (lengths_ != 0) return {400, "Content-Length with Transfer-Encoding"};
      if (!out_.http11) return {400, "Transfer-Encoding on HTTP/1.0"};
      if (!codings_.valid()) return {400, "Transfer-Encoding does not end in one chunked"};
      out_.framing = BodyFraming::chunked;
      return {};
    }
    if (lengths_ > 1) return {400, "more than one Content-Length"};
    if (lengths_ == 1) out_.framing = BodyFraming::length;
    return {};
  }

  void refuse(int status, std::string_view reason) {
    if (refusal_.reason.empty()) refusal_ = {status, reason};
  }

  void on_request_impl(http::verb verb, string_view method, string_view target, int version,
                       error_code&) override {
    out_.method = {method.data(), method.size()};
    out_.target = {target.data(), target.size()};
    out_.http11 = version == 11;
    out_.is_head = verb == http::verb::head;
    out_.idempotent = verb == http::verb::get || verb == http::verb::head || verb == http::verb::options ||
                      verb == http::verb::trace || verb == http::verb::put || verb == http::verb::delete_;
  }

  void on_field_impl(http::field id, string_view name_view, string_view value_view, error_code&) override {
    const std::string_view name(name_view.data(), name_view.size());
    const std::string_view value(value_view.data(), value_view.size());
    if (count_ == kMostFields) return refuse(431, "too many fields");
    fields_[count_++] = {name, read_field(id, name, value)};
  }

  // Returns whether the line is forwarded as it is.
  bool read_field(http::field id, std::string_view name, std::string_view value) {
    switch (id) {
      case http::field::host:
        ++hosts_;
        host_field_ = value;
        return false;  // written anew, because an absolute target overrides it
      case http::field::content_length: {
        ++lengths_;
        const auto length = parse_content_length(value);
        if (!length) refuse(400, "invalid Content-Length");
        out_.content_length = length.value_or(0);
        return true;
      }
      case http::field::transfer_encoding: codings_.add(value); return true;
      case http::field::connection: connection_.add(value); return false;
      case http::field::upgrade: out_.upgrade_to = value; return false;
      case http::field::keep_alive:
      case http::field::proxy_connection:
      case http::field::te:
      case http::field::trailer:
      case http::field::http2_settings: return false;
      case http::field::expect:
        if (!equal_ignoring_case(value, "100-continue")) refuse(417, "unknown expectation");
        out_.expects_continue = true;
        return true;
      case http::field::cookie:
        if (out_.cookie.empty()) out_.cookie = value;
        break;
      case http::field::user_agent: out_.user_agent = value; break;
      case http::field::referer: out_.referer = value; break;
      case http::field::forwarded: out_.forwarded = value; return false;
      case http::field::unknown:
        if (!read_unlisted_field(name, value)) return false;
        break;
      default: break;
    }
    if (!hash_field_.empty() && out_.hashed_field.empty() && equal_ignoring_case(name, hash_field_))
      out_.hashed_field = value;
    return true;
  }

  void add_forwarded_for(std::string_view value) {
    auto& lines = out_.forwarded_for;
    if (value.empty()) return;
    if (out_.forwarded_for_count == lines.size()) {
      std::copy(lines.begin() + 1, lines.end(), lines.begin());
      --out_.forwarded_for_count;
    }
    lines[out_.forwarded_for_count++] = value;
  }

  bool read_unlisted_field(std::string_view name, std::string_view value) {
    switch (name.front() | 0x20) {
      case 'x':
        if (equal_ignoring_case(name, "x-forwarded-for")) return add_forwarded_for(value), false;
        if (equal_ignoring_case(name, "x-forwarded-proto")) return out_.forwarded_proto = value, false;
        if (equal_ignoring_case(name, "x-forwarded-host")) return out_.forwarded_host = value, false;
        if (equal_ignoring_case(name, "x-request-id")) {
          if (!is_carried_id(value) || !out_.request_id.empty()) return false;
          out_.request_id = value;
        }
        return true;
      case 't':
        if (equal_ignoring_case(name, "traceparent") && out_.traceparent.empty()) out_.traceparent = value;
        break;
      case 'i':
        if (equal_ignoring_case(name, "idempotency-key") && !value.empty()) out_.idempotent = true;
        break;
      default: break;
    }
    if (imitates_framing(name)) refuse(400, "field imitates message framing");
    return true;
  }

  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}
  void on_response_impl(int, string_view, int, error_code&) override {}

  RequestHead& out_;
  std::string_view hash_field_;
  Refusal refusal_{};
  unsigned hosts_ = 0;
  unsigned lengths_ = 0;
  std::string_view host_field_;
  TransferCodings codings_;
  ConnectionOptions connection_;
  std::size_t count_ = 0;
  std::array<FieldLine, kMostFields> fields_;
};

Refusal from_beast(const error_code& error, std::string_view head) {
  if (error == http::error::bad_version) {
    const auto line = head.substr(0, head.find('\r'));
    const auto version = line.substr(line.rfind(' ') + 1);
    // Only what is one, and not one of ours, is an unknown version.
    if (version.starts_with("HTTP/") && version != "HTTP/1.1" && version != "HTTP/1.0")
      return {505, "unknown HTTP version"};
    return {400, "malformed request line"};
  }
  if (error == http::error::bad_method) return {400, "method is not a token"};
  if (error == http::error::bad_target) return {400, "invalid request target"};
  if (error == http::error::bad_content_length || error == http::error::multiple_content_length)
    return {400, "invalid Content-Length"};
  if (error == http::error::bad_transfer_encoding) return {400, "invalid Transfer-Encoding"};
  return {400, "malformed head"};
}

}  // namespace

Refusal parse_request_head(std::string_view head, std::string_view hash_field, RequestHead& out) {
  RequestParser parser(out, hash_field);
  error_code error;
  parser.put(boost::asio::buffer(head.data(), head.size()), error);
  // Our own reason is the more exact one when both found something.
  const Refusal refused = parser.finish(head.data() + head.size() - 2);
  if (error) return refused.reason.empty() || !parser.is_header_done() ? from_beast(error, head) : refused;
  if (!parser.is_header_done()) return {400, "malformed head"};
  return refused;
}

std::string_view cookie_value(std::string_view cookies, std::string_view name) {
  while (!cookies.empty()) {
    const auto semicolon = cookies.find(';');
    const auto pair = trim(cookies.substr(0, semicolon));
    cookies.remove_prefix(semicolon == std::string_view::npos ? cookies.size() : semicolon + 1);
    if (pair.size() > name.size() && pair[name.size()] == '=' && pair.starts_with(name))
      return pair.substr(name.size() + 1);
  }
  return {};
}

}  // namespace flux::balancer
