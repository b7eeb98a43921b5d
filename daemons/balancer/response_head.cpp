#include "daemons/balancer/response_head.hpp"

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
  http::field id;
  bool kept;
};

class ResponseParser final : public http::basic_parser<false> {
 public:
  ResponseParser(ResponseHead& out, bool answers_head) : out_(out), answers_head_(answers_head) {
    eager(false);
    skip(true);
    header_limit(1 << 20);
    body_limit(boost::none);
  }

  std::string_view finish(const char* fields_end) {
    if (!problem_.empty()) return problem_;
    if (out_.status < 100 || out_.status > 599) return "invalid status";
    if (connection_.broken) return "Connection is not a list of tokens";
    out_.keep_alive = out_.http11 ? !connection_.close : connection_.keep_alive && !connection_.close;
    if (codings_.any() && lengths_ != 0) return "Content-Length with Transfer-Encoding";
    if (codings_.any() && !out_.http11) return "Transfer-Encoding on HTTP/1.0";
    if (codings_.any() && !codings_.valid()) return "Transfer-Encoding does not end in one chunked";
    if (lengths_ > 1) return "more than one Content-Length";
    const bool never_has_body = out_.status < 200 || out_.status == 204;
    if (never_has_body || answers_head_ || out_.status == 304)
      out_.framing = BodyFraming::none;
    else if (codings_.any())
      out_.framing = BodyFraming::chunked;
    else
      out_.framing = lengths_ == 1 ? BodyFraming::length : BodyFraming::until_close;
    for (std::size_t i = 0; i < count_; ++i) {
      const FieldLine& field = fields_[i];
      if (!field.kept) continue;
      if (never_has_body && field.id == http::field::content_length) continue;
      if (connection_.named_count != 0 && connection_.names(field.name) &&
          may_be_named_hop_by_hop(field.name))
        continue;
      out_.kept.add(field.name.data(), i + 1 < count_ ? fields_[i + 1].name.data() : fields_end);
    }
    return {};
  }

 private:
  void on_response_impl(int status, string_view, int version, error_code&) override {
    out_.status = status;
    out_.http11 = version == 11;
  }

  void on_field_impl(http::field id, string_view name_view, string_view value_view, error_code&) override {
    const std::string_view name(name_view.data(), name_view.size());
    const std::string_view value(value_view.data(), value_view.size());
    if (count_ == kMostFields) {
      problem_ = "too many fields";
      return;
    }
    fields_[count_++] = {name, id, read_field(id, name, value)};
  }

  bool read_field(http::field id, std::string_view name, std::string_view value) {
    switch (id) {
      case http::field::content_length: {
        ++lengths_;
        const auto length = parse_content_length(value);
        if (!length) problem_ = "invalid Content-Length";
        out_.content_length = length.value_or(0);
        return true;
      }
      case http::field::transfer_encoding:
        if (codings_.any()) problem_ = "more than one Transfer-Encoding";
        codings_.add(value);
        out_.transfer_codings = value;
        return false;
      case http::field::connection: connection_.add(value); return false;
      case http::field::keep_alive: read_keep_alive(value); return false;
      case http::field::upgrade: out_.upgrade_to = value; return false;
      case http::field::proxy_connection:
      case http::field::trailer:
      case http::field::te: return false;
      case http::field::retry_after: out_.has_retry_after = true; return true;
      case http::field::unknown:
        if (equal_ignoring_case(name, "x-request-id")) out_.has_request_id = true;
        return true;
      default: return true;
    }
  }

  void read_keep_alive(std::string_view value) {
    while (const auto parameter = next_element(value)) {
      if (!equal_ignoring_case(parameter->substr(0, 8), "timeout=")) continue;
      const auto seconds = parse_content_length(parameter->substr(8));
      if (seconds && *seconds < 86400) out_.keep_alive_seconds = static_cast<std::uint32_t>(*seconds);
    }
  }

  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}
  void on_request_impl(http::verb, string_view, string_view, int, error_code&) override {}

  ResponseHead& out_;
  bool answers_head_;
  std::string_view problem_;
  unsigned lengths_ = 0;
  TransferCodings codings_;
  ConnectionOptions connection_;
  std::size_t count_ = 0;
  std::array<FieldLine, kMostFields> fields_;
};

}  // namespace

std::string_view parse_response_head(std::string_view head, bool answers_head_request, ResponseHead& out) {
  ResponseParser parser(out, answers_head_request);
  error_code error;
  parser.put(boost::asio::buffer(head.data(), head.size()), error);
  if (error || !parser.is_header_done()) return "malformed head";
  const auto first_line_end = head.find("\r\n");
  out.status_line_rest = head.substr(8, first_line_end + 2 - 8);
  return parser.finish(head.data() + head.size() - 2);
}

}  // namespace flux::balancer
