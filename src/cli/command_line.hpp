/// Parses the command line: which command, with which global options, and what to say if it is wrong.
/// Nothing that was typed is repeated unless it can be no secret.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"

namespace tokenstore::cli {

/// The command line of this process. Fills `globals`; returns what to run, or nothing if help or the
/// version was asked for and shown. A Failure (`usage`) if it is wrong.
Run parse_command_line(int argc, char** argv, Globals& globals);

/// True if a text holds what looks like a token, or most of one.
bool looks_like_token(std::string_view text) noexcept;

/// The word most like `typed`, if it is near enough to be what was meant; else empty.
std::string nearest(std::string_view typed, const std::vector<std::string>& words);

}  // namespace tokenstore::cli
