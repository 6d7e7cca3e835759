/// What reading and writing key files have in common. Stateless; any thread.
#pragma once

#include <string>
#include <string_view>

#include "tokenstore/status.hpp"

namespace tokenstore::key_file {

/// Room for some hundreds of keys with comments. A larger file is not read, and so none is written.
inline constexpr std::size_t file_size_max = 65'536;

Error refused(const std::string& path, std::string_view why);
Error cannot(std::string_view act, const std::string& path, int number);

}  // namespace tokenstore::key_file
