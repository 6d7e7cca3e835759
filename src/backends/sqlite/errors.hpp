/// What SQLite's result codes mean to a caller of the library.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenstore/status.hpp"

namespace tokenstore::sqlite {

/// `doing` completes "the database failed while ...". The text names the code, never a value.
Error error_of(int code, std::string_view doing);
/// As above while opening: a damaged or foreign file is `not_a_store`, an unreachable one `cannot_open`.
Error opening_error_of(int code, const std::string& path);

/// A system call's error while a new file is made.
Error creation_error(const std::string& path, int code);

/// If a file of the database is somebody else's and may not be written: which, whose, and what to do.
std::optional<Error> denied_file(const std::string& path);

/// After these a connection's cached state is not to be relied on.
bool spoils_connection(int code) noexcept;

}  // namespace tokenstore::sqlite
