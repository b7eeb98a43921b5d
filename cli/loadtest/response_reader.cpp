#include "cli/loadtest/response_reader.hpp"

#include <strings.h>

#include <algorithm>
#include <boost/beast/http/error.hpp>

namespace flux::loadtest {
namespace {

namespace http = boost::beast::http;

constexpr std::uint32_t kHeadLimit = 64 << 10;

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool names_header(const Step& step, std::string_view name) {
  return std::any_of(step.extract.begin(), step.extract.end(),
                     [&](const Extraction& e) { return same_name(e.header, name); }) ||
         std::any_of(step.checks.begin(), step.checks.end(), [&](const Check& c) {
           return (c.kind == Check::Kind::header_equals || c.kind == Check::Kind::header_present) &&
                  same_name(c.where, name);
         });
}

}  // namespace

const std::string* AnswerParts::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (same_name(key, name)) return &value;
  return nullptr;
}

ResponseReader::Parser::Parser(const Step& of) : step(&of) {
  eager(true);
  body_limit(boost::none);
  header_limit(kHeadLimit);
  skip(step->method == "HEAD");
}

void ResponseReader::Parser::on_field_impl(http::field, Text name, Text value, Code&) {
  if (step->reads_answer() && names_header(*step, {name.data(), name.size()}))
    parts.headers.emplace_back(std::string(name), std::string(value));
}

std::size_t ResponseReader::Parser::keep(Text body) {
  if (step->reads_answer()) parts.body.append(body.data(), body.size());
  return body.size();
}

ResponseReader::Progress ResponseReader::feed(std::string_view bytes) {
  const bool from_pending = !pending_.empty();
  if (from_pending) {
    pending_.append(bytes);
    bytes = pending_;
  }
  while (!bytes.empty()) {
    boost::beast::error_code ec;
    const std::size_t used = parser_.put({bytes.data(), bytes.size()}, ec);
    bytes.remove_prefix(used);
    if (ec && ec != http::error::need_more) return Progress::malformed;
    if (parser_.is_done()) {
      const bool interim = status() / 100 == 1 && status() != 101;
      if (!interim) {
        extra_ = bytes.size();
        if (status() == 101) pending_ = std::string(bytes);
        return Progress::done;
      }
      parser_ = Parser(*parser_.step);
    } else if (used == 0 || ec) {
      break;
    }
  }
  if (from_pending)
    pending_.erase(0, pending_.size() - bytes.size());
  else
    pending_ = bytes;
  return Progress::need_more;
}

ResponseReader::Progress ResponseReader::end_of_stream() {
  if (!parser_.is_header_done()) return Progress::malformed;
  boost::beast::error_code ec;
  parser_.put_eof(ec);
  return !ec && parser_.is_done() ? Progress::done : Progress::malformed;
}

}  // namespace flux::loadtest
