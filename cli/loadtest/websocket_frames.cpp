#include "cli/loadtest/websocket_frames.hpp"

namespace flux::loadtest {
namespace {

constexpr std::uint64_t kLongestMessage = 16ULL << 20;
constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kMasked = 0x80;

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

}  // namespace

void append_frame(std::string& out, Opcode opcode, std::string_view payload, std::uint32_t mask) {
  out += static_cast<char>(kFinal | static_cast<std::uint8_t>(opcode));
  const auto append_length = [&](std::uint8_t code, int bytes) {
    out += static_cast<char>(kMasked | code);
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(payload.size() >> (8 * i));
  };
  if (payload.size() < 126)
    append_length(static_cast<std::uint8_t>(payload.size()), 0);
  else if (payload.size() <= 0xffff)
    append_length(126, 2);
  else
    append_length(127, 8);
  char key[4];
  for (int i = 0; i < 4; ++i) out += key[i] = static_cast<char>(mask >> (8 * i));
  for (std::size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ key[i % 4]);
}

bool FrameReader::feed(std::string_view bytes) {
  pending_.append(bytes);
  while (true) {
    const std::size_t before = pending_.size();
    if (!read_frame()) return false;
    if (pending_.size() == before) return true;
  }
}

// Takes one frame from the front of `pending_` when it is all there.
bool FrameReader::read_frame() {
  if (pending_.size() < 2) return true;
  const auto first = static_cast<std::uint8_t>(pending_[0]);
  const auto second = static_cast<std::uint8_t>(pending_[1]);
  if ((first & 0x70) != 0 || (second & kMasked) != 0)
    return false;  // no extension was agreed; servers do not mask
  const auto opcode = static_cast<Opcode>(first & 0x0f);
  const bool final = (first & kFinal) != 0;
  const bool control = (first & 0x08) != 0;
  std::uint64_t length = second & 0x7f;
  std::size_t head = 2;
  if (length >= 126) {
    if (control) return false;
    const std::size_t extra = length == 126 ? 2 : 8;
    if (pending_.size() < head + extra) return true;
    length = big_endian(std::string_view(pending_).substr(head, extra));
    head += extra;
  }
  if (length > kLongestMessage || partial_.payload.size() + length > kLongestMessage) return false;
  if (control && !final) return false;
  if (pending_.size() < head + length) return true;
  std::string payload = pending_.substr(head, length);
  pending_.erase(0, head + length);
  if (control) {
    if (opcode != Opcode::close && opcode != Opcode::ping && opcode != Opcode::pong) return false;
    messages_.push_back({opcode, std::move(payload)});
    return true;
  }
  if (fragmented_ != (opcode == Opcode::continuation)) return false;
  if (!fragmented_ && opcode != Opcode::text && opcode != Opcode::binary) return false;
  if (!fragmented_) partial_ = {opcode, {}};
  partial_.payload += payload;
  fragmented_ = !final;
  if (final) messages_.push_back(std::move(partial_));
  if (final) partial_ = {};
  return true;
}

}  // namespace flux::loadtest
