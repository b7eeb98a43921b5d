#pragma once
// Turns the bytes of a connection into requests. Parsing is Beast's; what Beast
// lets pass and RFC 9112 does not is refused here.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "daemons/runtime/http_message.hpp"

namespace flux::runtime {

struct RequestLimits {
  std::uint32_t header_bytes = 16 << 10;
  std::size_t header_count = 100;
  std::uint64_t body_bytes = 64 << 10;
};

class RequestReader {
 public:
  enum class State { header, body, complete, failed };

  explicit RequestReader(const RequestLimits& limits);
  ~RequestReader();

  // Reads on. Returns how many bytes it took; the others must be given again, with
  // more behind them. Takes nothing once complete or failed.
  std::size_t feed(std::string_view bytes);
  State state() const { return state_; }
  // Makes ready for the next request; keeps memory for small ones.
  void reset();

  HttpRequest& request() { return request_; }
  const Problem& problem() const { return problem_; }  // when failed
  // True once per request, when the client waits for "100 Continue".
  bool take_expect_continue();

 private:
  class Parser;
  std::size_t feed_header(std::string_view bytes);
  void check_header();
  void split_target();
  void fail(int status, std::string detail);
  void fail_parsing(const std::string& what, int status);

  const RequestLimits& limits_;
  std::unique_ptr<Parser> parser_;
  State state_ = State::header;
  std::string head_;  // the header's bytes, to which the request's views point
  HttpRequest request_;
  Problem problem_;
  bool expect_continue_ = false;
};

}  // namespace flux::runtime
