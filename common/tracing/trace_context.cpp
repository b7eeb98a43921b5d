#include "common/tracing/trace_context.hpp"

#include <algorithm>
#include <cstring>
#include <random>

namespace flux {
namespace {

constexpr char kHex[] = "0123456789abcdef";

std::uint64_t random64() {
  thread_local std::mt19937_64 generator{[] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64{seed};
  }()};
  std::uint64_t value = 0;
  while (value == 0) value = generator();  // an id of zeros is invalid
  return value;
}

// The specification allows lower-case digits only.
int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

template <std::size_t N>
bool read_hex(std::string_view text, std::array<std::uint8_t, N>& out) {
  for (std::size_t i = 0; i < N; ++i) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

template <std::size_t N>
void write_hex(const std::array<std::uint8_t, N>& bytes, std::string& out) {
  for (const auto byte : bytes) {
    out += kHex[byte >> 4];
    out += kHex[byte & 0xf];
  }
}

template <std::size_t N>
bool is_zero(const std::array<std::uint8_t, N>& bytes) {
  return std::ranges::all_of(bytes, [](auto b) { return b == 0; });
}

}  // namespace

std::string TraceContext::traceparent() const {
  std::string out;
  out.reserve(55);
  out += "00-";
  write_hex(trace_id, out);
  out += '-';
  write_hex(span_id, out);
  out += sampled ? "-01" : "-00";
  return out;
}

TraceContext TraceContext::child() const {
  TraceContext next = *this;
  const std::uint64_t span = random64();
  std::memcpy(next.span_id.data(), &span, sizeof span);
  return next;
}

std::optional<TraceContext> TraceContext::parse(std::string_view text) {
  constexpr std::size_t kLength = 55;
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  std::array<std::uint8_t, 1> version{}, flags{};
  TraceContext context;
  if (!read_hex(text, version) || version[0] == 0xff) return std::nullopt;
  // Later versions may append fields after another dash; version 00 may not.
  if (text.size() > kLength && (version[0] == 0 || text[kLength] != '-')) return std::nullopt;
  if (!read_hex(text.substr(3), context.trace_id) || !read_hex(text.substr(36), context.span_id) ||
      !read_hex(text.substr(53), flags))
    return std::nullopt;
  if (is_zero(context.trace_id) || is_zero(context.span_id)) return std::nullopt;
  context.sampled = (flags[0] & 1) != 0;
  return context;
}

TraceContext TraceContext::start() {
  TraceContext context;
  const std::uint64_t halves[] = {random64(), random64()};
  std::memcpy(context.trace_id.data(), halves, sizeof halves);
  return context.child();
}

TraceContext continue_trace(std::string_view traceparent) {
  const auto received = TraceContext::parse(traceparent);
  return received ? received->child() : TraceContext::start();
}

}  // namespace flux
