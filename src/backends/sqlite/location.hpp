/// Where the database lies, and whether it can safely lie there.
#pragma once

#include <string>
#include <string_view>

#include "tokenstore/status.hpp"

namespace tokenstore::sqlite {

struct Location {
  std::string path;       ///< absolute, without symbolic links
  std::string directory;  ///< absolute
  bool exists = false;
};

/// Resolves a path. `cannot_open` if it names no place for a file, something else than a regular file, one that has
/// other names too or is mounted alone, or a file system that is reached over a network or shared with a host.
Result<Location> locate(const std::string& path);

/// Whether nobody can write there through this mount, or this user may not write there.
bool is_unwritable(const std::string& directory) noexcept;

/// How many copies of SQLite have this -shm file mapped in this process: 1 when all is well. A second
/// copy (a host that links its own) would make both lose their locks. 0 if it cannot be told.
std::size_t copies_of_sqlite_on(const std::string& shm_path);

/// Whether this process really holds SQLite's shared lock on a database that it has open. True if the
/// kernel does not say. After a fork SQLite may believe in locks that only the parent has.
bool holds_shared_lock(const std::string& path);

}  // namespace tokenstore::sqlite
