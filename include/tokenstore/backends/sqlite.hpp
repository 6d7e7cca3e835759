/// The embedded default: one SQLite file, for one machine and many processes.
#pragma once

#include <chrono>
#include <functional>
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

// What backup and restore (tokenstore/transfer.hpp) need of SQLite. A host calls those instead.

/// Makes of a database, which nobody else has open, what a backup holds: one file, which is not opened as a store.
Result<void> make_sqlite_backup(const std::string& path);
/// What a backup holds, to be read. Its seal is not looked at. Nobody may write the file meanwhile.
Result<std::shared_ptr<Backend>> sqlite_backup_backend(const std::string& path);

/// How a database is replaced by what a backup holds.
struct SqliteReplacement {
  /// Writes the backup, without what follows the database in it, to an open file.
  std::function<Result<void>(int file)> write{};
  /// If set: may change the new database, which nobody else knows yet.
  std::function<Result<void>(const std::string& path)> prepare{};
  /// Asked before the change, with the path of the new database as it will be, and again, while nobody can write, if
  /// the old one has changed since. Its answer, if not OK, ends the replacement, and nothing has happened. Not asked if
  /// there is no old one, or it cannot be read.
  std::function<Result<void>(const std::string& path)> judge{};
  /// Replace what is damaged as well; else that is a `conflict`. A database of another application, or a backup, is
  /// `refused` in any case.
  bool replace_damaged = false;
};
/// Writes a database beside another and swaps the two in one step: at no time is there half a database, or none.
/// The old one is kept, with all that was committed in it. Who has it open gets `unavailable` from the next call that
/// looks at storage, and has to open it again. Answers the name of the old file, empty if there was none. `unknown`: it
/// was done, but may not outlive a power cut.
Result<std::string> replace_sqlite(const SqliteOptions& options, const SqliteReplacement& replacement);

}  // namespace tokenstore
