#include "common/core/exit_code.hpp"

namespace flux {

ExitCode exit_code_of(Errc code) {
  switch (code) {
    case Errc::invalid_argument: return ExitCode::usage;
    case Errc::threshold: return ExitCode::threshold;
    case Errc::refused: return ExitCode::refused;
    case Errc::unavailable:
    case Errc::timed_out:
    case Errc::unauthorized: return ExitCode::unreachable;
    case Errc::not_valid: return ExitCode::not_valid;
    case Errc::interrupted: return ExitCode::interrupted;
    case Errc::not_found:
    case Errc::already_exists:
    case Errc::conflict:
    case Errc::sold_out:
    case Errc::fenced:
    case Errc::maybe_persisted:
    case Errc::exhausted:
    case Errc::corrupted:
    case Errc::forbidden:
    case Errc::internal: return ExitCode::failed;
  }
  return ExitCode::failed;
}

}  // namespace flux
