#pragma once
// WebSocket framing (RFC 6455) for a client that keeps no stream object per
// connection: frames to bytes, and bytes in any pieces to messages.

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace flux::loadtest {

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

// The nonce proves only that no cache answered, so one for all connections will
// do; it and its answer are the example of RFC 6455, section 1.3.
constexpr std::string_view kHandshakeKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kHandshakeAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

// One final frame, masked as clients must.
void append_frame(std::string& out, Opcode opcode, std::string_view payload, std::uint32_t mask);

class FrameReader {
 public:
  struct Message {
    Opcode opcode = Opcode::text;
    std::string payload{};
  };

  // False when the peer breaks the protocol or sends a message of more than 16 MiB.
  bool feed(std::string_view bytes);
  // Complete messages, control frames among them, in order of arrival.
  std::deque<Message>& messages() { return messages_; }

 private:
  bool read_frame();

  std::string pending_{};
  Message partial_{};  // fragments so far
  bool fragmented_ = false;
  std::deque<Message> messages_{};
};

}  // namespace flux::loadtest
