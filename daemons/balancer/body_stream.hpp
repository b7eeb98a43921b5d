#pragma once
// Where a message body ends, and its bytes without their framing. Chunk lines
// are read strictly: digits, a capped extension (dropped), CRLF, nothing else.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flux::balancer {

enum class BodyFraming : std::uint8_t { none, length, chunked, until_close };

class BodyReader {
 public:
  BodyReader() = default;
  BodyReader(BodyFraming framing, std::uint64_t length)
      : framing_(length == 0 && framing == BodyFraming::length ? BodyFraming::none : framing),
        left_(length) {}

  struct Piece {
    std::string_view payload;  // body bytes without framing
    std::size_t consumed = 0;  // of the input; the rest belongs to the next message
    std::string_view error{};  // not empty: the framing is broken
  };
  // Takes what it can from `data`; chunks that follow each other are moved
  // together in place, so that one read gives one payload.
  Piece read(char* data, std::size_t size);

  bool done() const { return framing_ == BodyFraming::none || state_ == State::done; }
  // The peer closed: whether that is where this body may end.
  bool may_end_at_close() const { return framing_ == BodyFraming::until_close; }
  BodyFraming framing() const { return framing_; }

 private:
  enum class State : std::uint8_t {
    size_first,
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_first,
    trailer_name,
    trailer_value,
    trailer_lf,
    last_lf,
    done
  };
  Piece read_chunks(char* data, std::size_t size);
  // Returns what is wrong with the byte, or "".
  std::string_view take_framing_byte(char c);

  BodyFraming framing_ = BodyFraming::none;
  State state_ = State::size_first;
  std::uint8_t digits_ = 0;
  std::uint16_t extra_ = 0;  // bytes of extension or trailers so far
  std::uint64_t left_ = 0;   // of the body (length) or of the chunk
};

}  // namespace flux::balancer
