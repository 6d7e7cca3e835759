/// The whole command but for what belongs to a process: parses, dispatches, and says what went wrong.
///
/// Writes to standard output and standard error, reads standard input, throws nothing. One thread.
#pragma once

#include "cli/exit_code.hpp"

namespace tokenstore::cli {

/// The command line of a process; `argv` may be wiped when a token is among it.
ExitCode run_command(int argc, char** argv);

}  // namespace tokenstore::cli
