/// What the command's exit status says, and how a failure gets there.
///
/// The numbers are part of the command's interface (`--help`, tokenstore(1), docs/cli.md): never reuse one.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "tokenstore/status.hpp"

namespace tokenstore::cli {

enum class ExitCode : int {
  ok = 0,           ///< done; validate: the token is valid
  invalid = 1,      ///< validate: the token is not valid, or lacks the scope
  usage = 2,        ///< the command line or a value in it is wrong; nothing changed
  unavailable = 3,  ///< storage or output failed; nothing changed
  not_found = 4,    ///< no such token, owner or workspace, or not the actor's to see
  refused = 5,      ///< permission, policy, a cap or read-only mode forbids it
  cannot_open = 6,  ///< the database or its key cannot be opened
  damaged = 7,      ///< a seal or the journal does not verify, or check found problems
  unknown = 8,      ///< storage failed at the end: it may have happened; or it did, and is not in the journal
  conflict = 9,     ///< somebody else changed the same thing meanwhile
  cancelled = 10,   ///< the question was not answered with yes
  internal = 70,    ///< a defect; please report it
  closed = 141,     ///< whoever read the output has gone
};

ExitCode exit_code_of(Status status) noexcept;

/// Ends a command: how it exits, and the line that says why. Never holds a token or a key.
class Failure : public std::runtime_error {
 public:
  explicit Failure(const Error& error)
      : std::runtime_error(error.message()),
        code_(exit_code_of(error.status())),
        status_(status_name(error.status())) {}
  Failure(ExitCode code, std::string status, const std::string& message)
      : std::runtime_error(message), code_(code), status_(std::move(status)) {}

  ExitCode code() const noexcept { return code_; }
  /// The stable word for programs: a status's name, "usage", "cancelled" or "output".
  const std::string& status() const noexcept { return status_; }

 private:
  ExitCode code_;
  std::string status_;
};

inline Failure usage_failure(const std::string& message) {
  return {ExitCode::usage, "usage", message};
}

/// The reader of standard output has gone. Ends the command without a word.
class OutputClosed : public std::exception {};

/// The value of a result, or a Failure.
template <typename T>
T take(Result<T> result) {
  if (!result) throw Failure(result.error());
  return std::move(result).value();
}
inline void take(const Result<void>& result) {
  if (!result) throw Failure(result.error());
}

}  // namespace tokenstore::cli
