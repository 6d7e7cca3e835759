/// The completion scripts of src/cli/completions/, put into the program by CMake.
#pragma once

#include <string_view>

namespace tokenstore::cli {

extern const std::string_view bash_completion;
extern const std::string_view zsh_completion;

}  // namespace tokenstore::cli
