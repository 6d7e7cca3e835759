/// The embedded default: one SQLite file, for one machine and many processes.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "tokenstore/backend.hpp"

namespace tokenstore {

struct SqliteOptions {
  std::string path{};
  bool create = true;      ///< create the file (mode 0600) if it is missing
  bool read_only = false;  ///< works on a read-only file system too; every write answers `read_only`
  std::chrono::milliseconds busy_timeout{5000};  ///< how long a write waits for another process's
  /// What commit() waits for. `full`: a power cut loses nothing. Weakening it has a name on purpose.
  enum class Durability : std::uint8_t { full, survives_crash_but_not_power_cut } durability = Durability::full;
  std::string vfs{};  ///< SQLite VFS name; empty: the default. For tests.
};

/// Opens or creates the file. Checks that it is ours, of a schema this version knows, and on a local
/// file system; costs the same at ten tokens and at ten million.
Result<std::shared_ptr<Backend>> sqlite_backend(const SqliteOptions& options);

}  // namespace tokenstore
