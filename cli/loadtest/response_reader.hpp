#pragma once
// Reads one HTTP response from whatever pieces arrive. Beast parses; the body is
// counted and kept only when the step looks at it. Made per response on the
// thread's stack, and moved to the connection only when a response comes in parts.

#include <boost/beast/http/basic_parser.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/loadtest/scenario.hpp"

namespace flux::loadtest {

// What a step wanted to see of the answer.
struct AnswerParts {
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};  // those that the step names

  const std::string* header(std::string_view name) const;
};

class ResponseReader {
 public:
  enum class Progress { need_more, done, malformed };

  explicit ResponseReader(const Step& step) : parser_(step) {}

  Progress feed(std::string_view bytes);
  // The server closed: done when the body was to end that way, else malformed.
  Progress end_of_stream();

  unsigned status() const { return parser_.status; }
  bool keep_alive() const { return parser_.keep_alive() && extra_ == 0; }
  // Bytes after the response; those of an upgraded protocol after a 101.
  std::size_t extra() const { return extra_; }
  std::string_view rest() const { return pending_; }  // those bytes, kept after a 101 only
  const AnswerParts& parts() const { return parser_.parts; }

 private:
  class Parser final : public boost::beast::http::basic_parser<false> {
   public:
    explicit Parser(const Step& step);
    Parser(Parser&&) = default;
    Parser& operator=(Parser&&) = default;

    unsigned status = 0;
    AnswerParts parts;
    const Step* step;

   private:
    using Code = boost::beast::error_code;
    using Text = boost::beast::string_view;
    void on_request_impl(boost::beast::http::verb, Text, Text, int, Code&) override {}
    void on_response_impl(int code, Text, int, Code&) override { status = static_cast<unsigned>(code); }
    void on_field_impl(boost::beast::http::field, Text name, Text value, Code&) override;
    void on_header_impl(Code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
    std::size_t on_body_impl(Text body, Code&) override { return keep(body); }
    void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, Text body, Code&) override { return keep(body); }
    void on_finish_impl(Code&) override {}
    std::size_t keep(Text body);
  };

  Parser parser_;
  std::string pending_;  // came but not yet parsed: an unfinished head or chunk line
  std::size_t extra_ = 0;
};

}  // namespace flux::loadtest
