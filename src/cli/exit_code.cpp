#include "cli/exit_code.hpp"

namespace tokenstore::cli {

ExitCode exit_code_of(Status status) noexcept {
  switch (status) {
    case Status::ok:
      return ExitCode::ok;
    case Status::invalid_argument:
      return ExitCode::usage;
    case Status::not_found:
      return ExitCode::not_found;
    case Status::permission_denied:
    case Status::refused:
    case Status::read_only:
    case Status::unsupported:
      return ExitCode::refused;
    case Status::conflict:
      return ExitCode::conflict;
    case Status::unavailable:
    case Status::storage_full:
    case Status::out_of_memory:
      return ExitCode::unavailable;
    case Status::unknown:
    case Status::not_journaled:
      return ExitCode::unknown;
    case Status::tampered:
    case Status::journal_damaged:
      return ExitCode::damaged;
    case Status::wrong_key:
    case Status::not_a_store:
    case Status::newer_schema:
    case Status::cannot_open:
      return ExitCode::cannot_open;
    case Status::buffer_too_small:
    case Status::internal:
      return ExitCode::internal;
  }
  return ExitCode::internal;
}

}  // namespace tokenstore::cli
