#include "daemons/balancer/body_stream.hpp"

#include <algorithm>
#include <cstring>

#include "daemons/balancer/head_scan.hpp"

namespace flux::balancer {
namespace {

constexpr std::uint16_t kMostExtension = 256;
constexpr std::uint16_t kMostTrailers = 8192;
constexpr std::uint8_t kMostDigits = 15;  // 60 bits: no size can overflow

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_text(char c) {
  const auto u = static_cast<unsigned char>(c);
  return c == '\t' || (u >= 0x20 && u != 0x7f);
}

}  // namespace

BodyReader::Piece BodyReader::read(char* data, std::size_t size) {
  switch (framing_) {
    case BodyFraming::none: return {};
    case BodyFraming::until_close: return {{data, size}, size};
    case BodyFraming::length: {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, size));
      left_ -= n;
      if (left_ == 0) state_ = State::done;
      return {{data, n}, n};
    }
    case BodyFraming::chunked: break;
  }
  return read_chunks(data, size);
}

BodyReader::Piece BodyReader::read_chunks(char* data, std::size_t size) {
  char* payload = nullptr;
  std::size_t payload_size = 0;
  std::size_t at = 0;
  while (at < size && state_ != State::done) {
    if (state_ != State::data) {
      if (const auto error = take_framing_byte(data[at]); !error.empty()) return {{}, at, error};
      ++at;
      continue;
    }
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, size - at));
    if (payload == nullptr)
      payload = data + at;
    else
      std::memmove(payload + payload_size, data + at, n);
    payload_size += n;
    at += n;
    left_ -= n;
    if (left_ == 0) state_ = State::data_cr;
  }
  return {{payload, payload_size}, at};
}

std::string_view BodyReader::take_framing_byte(char c) {
  switch (state_) {
    case State::size_first:
      digits_ = 0;
      extra_ = 0;
      left_ = 0;
      state_ = State::size;
      if (hex_value(c) < 0) return "chunk size is not hexadecimal";
      [[fallthrough]];
    case State::size:
      if (const int digit = hex_value(c); digit >= 0) {
        if (++digits_ > kMostDigits) return "chunk size overflows";
        left_ = left_ << 4 | static_cast<std::uint64_t>(digit);
      } else if (c == '\r') {
        state_ = State::size_lf;
      } else if (c == ';') {
        state_ = State::extension;
      } else {
        return "chunk size is not hexadecimal";
      }
      return {};
    case State::extension:
      if (c == '\r')
        state_ = State::size_lf;
      else if (!is_text(c))
        return "control character in a chunk extension";
      else if (++extra_ > kMostExtension)
        return "chunk extension too long";
      return {};
    case State::size_lf:
      if (c != '\n') return "bare CR in a chunk line";
      extra_ = 0;
      state_ = left_ == 0 ? State::trailer_first : State::data;
      return {};
    case State::data_cr:
      if (c != '\r') return "chunk longer than its size";
      state_ = State::data_lf;
      return {};
    case State::data_lf:
      if (c != '\n') return "chunk longer than its size";
      state_ = State::size_first;
      return {};
    case State::trailer_first:
      if (c == '\r') {
        state_ = State::last_lf;
        return {};
      }
      if (!is_token_char(c)) return "trailer name is not a token";
      state_ = State::trailer_name;
      break;
    case State::trailer_name:
      if (c == ':')
        state_ = State::trailer_value;
      else if (!is_token_char(c))
        return "trailer name is not a token";
      break;
    case State::trailer_value:
      if (c == '\r')
        state_ = State::trailer_lf;
      else if (!is_text(c))
        return "control character in a trailer";
      break;
    case State::trailer_lf:
      if (c != '\n') return "bare CR in a trailer";
      state_ = State::trailer_first;
      break;
    case State::last_lf:
      if (c != '\n') return "bare CR after the trailers";
      state_ = State::done;
      return {};
    case State::data:
    case State::done: return {};
  }
  return ++extra_ > kMostTrailers ? std::string_view("trailers too long") : std::string_view{};
}

}  // namespace flux::balancer
