/// The tables, and how a file is recognised as ours. docs/sqlite.md describes them for operators.
#pragma once

#include "backends/sqlite/connection.hpp"
#include "tokenstore/status.hpp"

namespace tokenstore::sqlite {

/// In the file's header (PRAGMA application_id): "tkst".
inline constexpr std::int64_t application_id = 0x746b7374;
/// The same of what a backup holds, so that nobody opens it as a store: "tkbk".
inline constexpr std::int64_t backup_application_id = 0x746b626b;
/// In the file's header (PRAGMA user_version). 1 was the first.
inline constexpr std::int64_t schema_version = 1;

enum class FileKind : std::uint8_t { store, backup };

/// Makes the tables in an empty file and switches it to WAL. The file is complete on return.
int create_schema(Connection& connection);

/// Reads the header alone, without a lock and without waking SQLite's recovery: a file that is refused
/// here has not been touched. Answers `not_a_store` or `newer_schema`.
/// `path` as the caller knows it, `resolved` as it is.
Result<void> check_header(Connection& connection, const std::string& path, const std::string& resolved,
                          FileKind kind = FileKind::store);

/// The error if the file is a database that never was a store: another application's, or a backup. Whatever else may be
/// wrong with it is not looked at.
std::optional<Error> belongs_to_another(Connection& connection, const std::string& path);

/// Whether the committed state (the WAL included) is a schema that this version can work with, after
/// bringing it up to date if `may_write`.
Result<void> check_schema(Connection& connection, const std::string& path, bool may_write,
                          FileKind kind = FileKind::store);

/// Whether the schema is this version's to the letter: an index, constraint, trigger, view or column that is not ours
/// could swallow what is written. What ANALYZE gathers is let be. `not_a_store` names what is not ours.
Result<void> check_objects(Connection& connection, const std::string& path);

/// The same, once for each change that SQLite's schema cookie tells of: cheap enough for every commit.
Result<void> check_unchanged(Connection& connection, const std::string& path);

}  // namespace tokenstore::sqlite
