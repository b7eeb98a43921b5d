#include "daemons/runtime/request_reader.hpp"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>

namespace flux::runtime {
namespace http = boost::beast::http;

class RequestReader::Parser {
 public:
  // Beast hands out views into the bytes it is given; nothing is copied or allocated.
  struct Events final : http::basic_parser<true> {
    explicit Events(HttpRequest& request) : out(request) {}
    HttpRequest& out;

    void on_request_impl(http::verb, boost::beast::string_view method, boost::beast::string_view target,
                         int version, boost::beast::error_code&) override {
      out.method = {method.data(), method.size()};
      out.target = {target.data(), target.size()};
      out.http_1_0 = version < 11;
    }
    void on_response_impl(int, boost::beast::string_view, int, boost::beast::error_code&) override {}
    void on_field_impl(http::field, boost::beast::string_view name, boost::beast::string_view value,
                       boost::beast::error_code&) override {
      out.headers.emplace_back(std::string_view{name.data(), name.size()},
                               std::string_view{value.data(), value.size()});
    }
    void on_header_impl(boost::beast::error_code&) override {}
    void on_body_init_impl(boost::optional<std::uint64_t> const&, boost::beast::error_code&) override {}
    std::size_t on_body_impl(boost::beast::string_view body, boost::beast::error_code&) override {
      out.body.append(body.data(), body.size());
      return body.size();
    }
    void on_chunk_header_impl(std::uint64_t, boost::beast::string_view, boost::beast::error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view body,
                                   boost::beast::error_code& ec) override {
      return on_body_impl(body, ec);
    }
    void on_finish_impl(boost::beast::error_code&) override {}
  };
  std::optional<Events> events;
};

namespace {

int status_of(const boost::beast::error_code& ec) {
  if (ec == http::error::body_limit) return 413;
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) return 431;
  if (ec == http::error::bad_version) return 505;
  return 400;
}

// Line folding and bare line feeds, which RFC 9112 (2.2, 5.2) lets a server refuse.
bool has_odd_line_end(std::string_view head) {
  for (auto at = head.find('\n'); at != std::string_view::npos; at = head.find('\n', at + 1))
    if (at == 0 || head[at - 1] != '\r' ||
        (at + 1 < head.size() && (head[at + 1] == ' ' || head[at + 1] == '\t')))
      return true;
  return false;
}

bool is_valid_host(std::string_view host) {
  return std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~:[]%!$&'()*+;=").find(c) != std::string_view::npos;
  });
}

}  // namespace

RequestReader::RequestReader(const RequestLimits& limits)
    : limits_(limits), parser_(std::make_unique<Parser>()) {
  reset();
}

RequestReader::~RequestReader() = default;

void RequestReader::reset() {
  constexpr std::size_t kKept = 4096;
  state_ = State::header;
  expect_continue_ = false;
  auto headers = std::move(request_.headers);
  auto body = std::move(request_.body);
  headers.clear();
  body.clear();
  if (body.capacity() > kKept) body = {};
  request_ = HttpRequest{};
  request_.headers = std::move(headers);
  request_.body = std::move(body);
  parser_->events.emplace(request_);
  parser_->events->eager(true);
  parser_->events->header_limit(limits_.header_bytes);
  parser_->events->body_limit(limits_.body_bytes);
}

void RequestReader::fail(int status, std::string detail) {
  state_ = State::failed;
  problem_ = Problem{status, std::move(detail), "malformed_request"};
  if (status == 413) problem_ = Problem{413, problem_.detail, "too_large"};
}

void RequestReader::fail_parsing(const std::string& what, int status) {
  switch (status) {
    case 413: return fail(413, "the body is larger than " + std::to_string(limits_.body_bytes) + " bytes");
    case 431:
      return fail(431, "the header is larger than " + std::to_string(limits_.header_bytes) + " bytes");
    default: return fail(status, "not a valid HTTP/1.1 request: " + what);
  }
}

std::size_t RequestReader::feed(std::string_view bytes) {
  std::size_t taken = 0;
  if (state_ == State::header) taken = feed_header(bytes);
  if (state_ != State::body) return taken;
  auto& events = *parser_->events;
  while (!events.is_done() && taken < bytes.size()) {
    boost::beast::error_code ec;
    const auto n = events.put(boost::asio::buffer(bytes.data() + taken, bytes.size() - taken), ec);
    taken += n;
    if (ec && ec != http::error::need_more) {
      fail_parsing(ec.message(), status_of(ec));
      return taken;
    }
    if (n == 0) break;
  }
  if (events.is_done()) state_ = State::complete;
  return taken;
}

std::size_t RequestReader::feed_header(std::string_view bytes) {
  // An empty line before a request is ignored (RFC 9112, 2.2).
  std::size_t start = 0;
  while (bytes.substr(start).starts_with("\r\n")) start += 2;
  const auto end = bytes.find("\r\n\r\n", start);
  if (end == std::string_view::npos) {
    if (bytes.size() - start > limits_.header_bytes)
      fail_parsing("", 431);
    else if (has_odd_line_end(bytes.substr(start)))
      fail(400, "lines must end with CR LF and must not be folded");
    return start;
  }
  const auto head = bytes.substr(start, end + 4 - start);
  if (head.size() > limits_.header_bytes) {
    fail_parsing("", 431);
    return start;
  }
  if (has_odd_line_end(head)) {
    fail(400, "lines must end with CR LF and must not be folded");
    return start;
  }
  head_.assign(head);
  boost::beast::error_code ec;
  auto& events = *parser_->events;
  events.put(boost::asio::buffer(head_.data(), head_.size()), ec);
  if (ec && ec != http::error::need_more) {
    fail_parsing(ec.message(), status_of(ec));
    return start;
  }
  if (!events.is_header_done()) {
    fail(400, "not a valid HTTP/1.1 request");
    return start;
  }
  request_.keep_alive = events.keep_alive();
  check_header();
  if (state_ == State::failed) return start;
  state_ = events.is_done() ? State::complete : State::body;
  return end + 4;
}

void RequestReader::check_header() {
  int hosts = 0, lengths = 0;
  std::string_view host;
  if (request_.headers.size() > limits_.header_count) return fail(431, "too many header fields");
  for (const auto& [name, value] : request_.headers) {
    if (equals_ignoring_case(name, "host")) {
      ++hosts;
      host = value;
    } else if (equals_ignoring_case(name, "content-length")) {
      ++lengths;
    } else if (equals_ignoring_case(name, "transfer-encoding")) {
      // Anything but one plain "chunked" has been used to smuggle requests.
      if (request_.http_1_0) return fail(400, "Transfer-Encoding in HTTP/1.0");
      if (!equals_ignoring_case(value, "chunked"))
        return fail(501, "the only transfer coding supported is chunked");
    } else if (equals_ignoring_case(name, "expect")) {
      if (!equals_ignoring_case(value, "100-continue")) return fail(417, "unknown expectation");
      expect_continue_ = !request_.http_1_0;
    }
  }
  if (hosts > 1 || (hosts == 0 && !request_.http_1_0) || !is_valid_host(host))
    return fail(400, "a request has exactly one valid Host");
  if (lengths > 1) return fail(400, "more than one Content-Length");
  split_target();
}

void RequestReader::split_target() {
  std::string_view target = request_.target;
  for (const std::string_view scheme : {"http://", "https://"})
    if (target.starts_with(scheme)) {  // absolute form, RFC 9112 3.2.2
      const auto slash = target.find('/', scheme.size());
      target = slash == std::string_view::npos ? "/" : target.substr(slash);
      break;
    }
  if ((target.empty() || target.front() != '/') && target != "*")
    return fail(400, "the request target must be a path");
  if (target.find('#') != std::string_view::npos) return fail(400, "a request target has no fragment");
  const auto question = std::min(target.find('?'), target.size());
  request_.target = target;
  request_.path = target.substr(0, question);
  request_.query = target.substr(std::min(question + 1, target.size()));
  if (request_.method == "HEAD") {
    request_.method = "GET";
    request_.head_only = true;
  }
}

bool RequestReader::take_expect_continue() {
  return std::exchange(expect_continue_, false);
}

}  // namespace flux::runtime
