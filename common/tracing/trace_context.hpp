#pragma once
// W3C Trace Context: the `traceparent` header, so that one order can be followed
// from the client through the API and the event log into the worker.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flux {

struct TraceContext {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};  // "parent-id" in the header
  bool sampled = true;

  // Version 00, 55 characters.
  std::string traceparent() const;
  // The same trace with a new span, for the work this process does.
  TraceContext child() const;

  // nullopt: not valid by the specification; start a new trace then.
  static std::optional<TraceContext> parse(std::string_view traceparent);
  static TraceContext start();
};

// The received context's child, or a new trace.
TraceContext continue_trace(std::string_view traceparent);

}  // namespace flux
