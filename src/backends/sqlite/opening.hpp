/// Opening the file of a store, in steps that each refuse something. A file that is refused is left as it was.
#pragma once

#include <memory>
#include <string>

#include "backends/sqlite/connection.hpp"
#include "tokenstore/backends/sqlite.hpp"

namespace tokenstore::sqlite {

struct OpenedFile {
  Target target;
  std::unique_ptr<Connection> keeper;  ///< attached to the WAL
  std::unique_ptr<Connection> writer;  ///< none if the file may only be read
};

/// Opens the database that the options name, and makes it if they say so and there is none.
Result<OpenedFile> open_file(const SqliteOptions& options);

/// Opens what a backup holds: immutable, without locks, wherever it lies.
Result<OpenedFile> open_backup_file(const std::string& path);

/// One more connection to a file that is open.
Result<std::unique_ptr<Connection>> open_configured(const Target& target);

/// The file is open through another copy of SQLite in this process.
Error two_copies(const std::string& path, Status status);

}  // namespace tokenstore::sqlite
