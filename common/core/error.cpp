#include "common/core/error.hpp"

namespace flux {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::not_found: return "not_found";
    case Errc::already_exists: return "already_exists";
    case Errc::conflict: return "conflict";
    case Errc::sold_out: return "sold_out";
    case Errc::fenced: return "fenced";
    case Errc::unavailable: return "unavailable";
    case Errc::timed_out: return "timed_out";
    case Errc::maybe_persisted: return "maybe_persisted";
    case Errc::exhausted: return "exhausted";
    case Errc::corrupted: return "corrupted";
    case Errc::refused: return "refused";
    case Errc::threshold: return "threshold";
    case Errc::not_valid: return "not_valid";
    case Errc::unauthorized: return "unauthorized";
    case Errc::forbidden: return "forbidden";
    case Errc::interrupted: return "interrupted";
    case Errc::internal: return "internal";
  }
  return "internal";
}

std::string Error::one_line() const {
  return hint.empty() ? message : message + "; " + hint;
}

bool operator==(const Error& a, const Error& b) {
  return a.code == b.code && a.message == b.message && a.hint == b.hint && a.retryable == b.retryable;
}

}  // namespace flux
