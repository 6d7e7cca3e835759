/// Opening the file of a store, in steps that each refuse something. A file that is refused is left as it was.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "backends/sqlite/connection.hpp"
#include "backends/sqlite/file_watch.hpp"
#include "tokenstore/backends/sqlite.hpp"

namespace tokenstore::sqlite {

struct OpenedFile {
  Target target;
  FileWatch::Identity file;            ///< what the path led to before it was opened
  std::unique_ptr<Connection> keeper;  ///< attached to the WAL
  std::unique_ptr<Connection> writer;  ///< none if the file may only be read
};

/// Opens the database that the options name, and makes it if they say so and there is none. Empty if the file was
/// swapped for another meanwhile: then it is to be asked again. What is swapped later is for the caller to notice.
Result<std::optional<OpenedFile>> open_file(const SqliteOptions& options);

/// Opens what a backup holds: immutable, without locks, wherever it lies.
Result<OpenedFile> open_backup_file(const std::string& path);

/// One more connection to a file that is open, or to what took its place meanwhile.
Result<std::unique_ptr<Connection>> open_configured(const Target& target);

/// The file is open through another copy of SQLite in this process.
Error two_copies(const std::string& path, Status status);

}  // namespace tokenstore::sqlite
