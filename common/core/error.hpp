#pragma once
// What went wrong, said once: a code for programs, a sentence for people, and
// what to do next. Adapters that talk to throwing libraries turn their
// exceptions into this; edges (CLI, HTTP) turn it into an exit code or status.

#include <string>
#include <string_view>

namespace flux {

enum class Errc {
  invalid_argument,  // the caller's input is wrong: usage, configuration, request
  not_found,         // the named thing does not exist
  already_exists,    // creating something that is there
  conflict,          // a precondition does not hold (version, state)
  sold_out,          // stock is not enough
  fenced,            // another owner took over; this one must stop
  unavailable,       // a needed server cannot be reached or refuses
  timed_out,         // no answer within the deadline; the effect is unknown
  maybe_persisted,   // a write that may or may not have become durable
  exhausted,         // disk, memory, descriptors, queue or connection slots are used up
  corrupted,         // stored data does not read back
  refused,           // a guard says no
  threshold,         // measured fine, but a limit is not met
  not_valid,         // a measurement that must not be trusted
  unauthorized,      // no or wrong credentials
  forbidden,         // credentials without the needed right
  interrupted,       // asked to stop before it was done
  internal,          // a bug or an unexpected failure
};

std::string_view to_string(Errc code);

struct Error {
  Errc code = Errc::internal;
  std::string message;     // one line: what, where, why
  std::string hint{};      // what to do about it; may be empty
  bool retryable = false;  // true: the same call may succeed later

  // "message; hint"
  std::string one_line() const;
};

bool operator==(const Error& a, const Error& b);

}  // namespace flux
