#include "backends/sqlite/schema.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "backends/sqlite/errors.hpp"

namespace tokenstore::sqlite {
namespace {

struct SchemaObject {
  std::string_view type;
  std::string_view name;
  std::string_view sql;  ///< to the letter as SQLite keeps it
};

// WITHOUT ROWID: one tree per table, found by the key that is asked for. STRICT: a value has its
// column's type. Times are Unix milliseconds; 9223372036854775807 means never. In the order of their names.
constexpr SchemaObject schema_objects[] = {
    // One row for each announced revision: what it named, and the link to the revision before.
    {"table", "change", R"sql(CREATE TABLE change (
  workspace TEXT NOT NULL,
  revision INTEGER NOT NULL,
  entry BLOB NOT NULL,
  link BLOB NOT NULL,
  PRIMARY KEY (workspace, revision)
) STRICT, WITHOUT ROWID)sql"},
    // The revision of a workspace, its link, and the oldest revision from which `change` is complete.
    {"table", "feed", R"sql(CREATE TABLE feed (
  workspace TEXT NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  link BLOB NOT NULL,
  feed_from INTEGER NOT NULL
) STRICT, WITHOUT ROWID)sql"},
    {"table", "owner", R"sql(CREATE TABLE owner (
  workspace TEXT NOT NULL,
  owner TEXT NOT NULL,
  birth BLOB NOT NULL,
  may_issue INTEGER NOT NULL,
  may_use INTEGER NOT NULL,
  suspended_at INTEGER NOT NULL,
  suspended_by TEXT NOT NULL,
  suspend_reason TEXT NOT NULL,
  revoke_all_count INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  seal_key_id TEXT NOT NULL,
  seal BLOB NOT NULL,
  PRIMARY KEY (workspace, owner)
) STRICT, WITHOUT ROWID)sql"},
    {"table", "store", R"sql(CREATE TABLE store (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  id BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  seal_key_id TEXT NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID)sql"},
    {"table", "token", R"sql(CREATE TABLE token (
  workspace TEXT NOT NULL,
  id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  verifier BLOB NOT NULL,
  owner TEXT NOT NULL,
  owner_birth BLOB NOT NULL,
  revoke_all_count INTEGER NOT NULL,
  description TEXT NOT NULL,
  scopes TEXT NOT NULL,
  metadata BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  expired_at INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL,
  revoked_by TEXT NOT NULL,
  revoke_reason TEXT NOT NULL,
  revision INTEGER NOT NULL,
  seal_key_id TEXT NOT NULL,
  seal BLOB NOT NULL,
  last_used_at INTEGER NOT NULL,
  last_used_from TEXT NOT NULL,
  PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID)sql"},
    // The end is computed, never stored: what no seal covers decides nothing.
    {"index", "token_by_end", "CREATE INDEX token_by_end ON token (workspace, min(revoked_at, expires_at))"},
    {"index", "token_by_owner", "CREATE INDEX token_by_owner ON token (workspace, owner, id)"},
    {"index", "token_by_owner_and_end",
     "CREATE INDEX token_by_owner_and_end ON token (workspace, owner, min(revoked_at, expires_at))"},
    {"index", "token_revoked",
     "CREATE INDEX token_revoked ON token (workspace, id) WHERE revoked_at <> 9223372036854775807"},
    {"table", "workspace", R"sql(CREATE TABLE workspace (
  workspace TEXT NOT NULL PRIMARY KEY,
  birth BLOB NOT NULL,
  tokens_enabled INTEGER NOT NULL,
  users_may_issue INTEGER NOT NULL,
  never_allowed INTEGER NOT NULL,
  longest_lifetime INTEGER NOT NULL,
  default_lifetime INTEGER NOT NULL,
  most_active_per_owner INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  seal_key_id TEXT NOT NULL,
  seal BLOB NOT NULL
) STRICT, WITHOUT ROWID)sql"},
};

Error altered(const std::string& path, std::string_view name) {
  return Error(Status::not_a_store,
               fmt::format("the schema of '{}' was changed outside the library ({}); undo that, or restore a backup",
                           path, name));
}

int create_objects(Connection& connection) {
  const auto create = [&](std::string_view type) {
    for (const SchemaObject& object : schema_objects) {
      if (object.type != type) continue;
      const int code = connection.execute(std::string(object.sql).c_str());
      if (code != SQLITE_OK) return code;
    }
    return SQLITE_OK;
  };
  const int code = create("table");
  return code == SQLITE_OK ? create("index") : code;
}

Error foreign(const std::string& path) {
  return Error(Status::not_a_store, fmt::format("'{}' belongs to another application; name another path", path));
}

/// A file with another application id than was wanted.
Error not_wanted(const std::string& path, std::int64_t id) {
  if (id == backup_application_id) {
    return Error(Status::not_a_store,
                 fmt::format("'{}' is a backup, which is not used itself; restore it to another path", path));
  }
  if (id == application_id) {
    return Error(Status::not_a_store, fmt::format("'{}' is a store and not a backup; name a backup", path));
  }
  return foreign(path);
}
std::int64_t id_of(FileKind kind) {
  return kind == FileKind::backup ? backup_application_id : application_id;
}
Error newer(const std::string& path, std::int64_t version) {
  return Error(Status::newer_schema, fmt::format("'{}' has schema {}, this version knows up to {}; upgrade the library",
                                                 path, version, schema_version));
}

Error damaged(const std::string& path) {
  return Error(Status::not_a_store, fmt::format("'{}' is damaged or incomplete; restore a backup", path));
}

using Header = std::array<unsigned char, 100>;

int read_header(sqlite3_file* file, Header& header) {
  const int code = file->pMethods->xRead(file, header.data(), static_cast<int>(header.size()), 0);
  return code == SQLITE_IOERR_SHORT_READ ? SQLITE_NOTADB : code;
}

bool is_database(const Header& header) {
  constexpr std::string_view magic("SQLite format 3\0", 16);
  return std::equal(magic.begin(), magic.end(), header.begin());
}

std::int64_t big_endian_32(const unsigned char* at) {
  return (std::int64_t{at[0]} << 24) | (std::int64_t{at[1]} << 16) | (std::int64_t{at[2]} << 8) | std::int64_t{at[3]};
}

}  // namespace

int create_schema(Connection& connection) {
  // In a rollback journal, so that the header of the file itself says whose it is from the first moment.
  const std::string identity =
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", application_id, schema_version);
  int code = connection.execute(
      "PRAGMA auto_vacuum = NONE; PRAGMA encoding = 'UTF-8'; PRAGMA journal_mode = DELETE;"
      "PRAGMA synchronous = FULL; BEGIN EXCLUSIVE;");
  if (code == SQLITE_OK) code = connection.execute(identity.c_str());
  if (code == SQLITE_OK) code = create_objects(connection);
  if (code == SQLITE_OK) code = connection.execute("COMMIT");
  // A VFS without shared memory stays with the rollback journal.
  if (code == SQLITE_OK) code = connection.execute("PRAGMA journal_mode = WAL");
  return code;
}

Result<void> check_header(Connection& connection, const std::string& path, const std::string& resolved, FileKind kind) {
  sqlite3_file* file = connection.file();
  if (file == nullptr) return opening_error_of(SQLITE_CANTOPEN, path);
  sqlite3_int64 size = 0;
  int code = file->pMethods->xFileSize(file, &size);
  if (code != SQLITE_OK) return opening_error_of(code, path);
  if (size == 0) {
    return Error(Status::not_a_store,
                 fmt::format("'{}' is empty; remove it, and it will be created closed to other users", path));
  }
  Header header{};
  code = read_header(file, header);
  if (code != SQLITE_OK) return opening_error_of(code, path);
  if (!is_database(header)) return opening_error_of(SQLITE_NOTADB, path);
  if (const std::int64_t id = big_endian_32(&header[68]); id != id_of(kind)) return not_wanted(path, id);
  const std::int64_t version = big_endian_32(&header[60]);
  if (version > schema_version) return newer(path, version);
  if (version < 1) return damaged(path);
  // A page cut in two: SQLite would take the rest for zeroes. With a WAL it may be a checkpoint under way.
  const std::int64_t page = std::int64_t{header[16]} << 8 | std::int64_t{header[17]};
  const std::int64_t page_size = page == 1 ? 65536 : page;
  if (page_size < 512) return damaged(path);
  if (kind == FileKind::backup) return {};  // it goes on after its last page
  struct stat wal {};
  const bool has_wal = ::stat((resolved + "-wal").c_str(), &wal) == 0 && wal.st_size > 0;
  if (size % page_size != 0 && !has_wal) return damaged(path);
  return {};
}

std::optional<Error> belongs_to_another(Connection& connection, const std::string& path) {
  sqlite3_file* file = connection.file();
  Header header{};
  if (file == nullptr || read_header(file, header) != SQLITE_OK || !is_database(header)) return std::nullopt;
  const std::int64_t id = big_endian_32(&header[68]);
  if (id == application_id) return std::nullopt;
  return Error(Status::refused, not_wanted(path, id).message());
}

Result<void> check_schema(Connection& connection, const std::string& path, bool may_write, FileKind kind) {
  int code = SQLITE_OK;
  const std::int64_t id = connection.number("PRAGMA application_id", code);
  if (code != SQLITE_ROW) return opening_error_of(code, path);
  if (id != id_of(kind)) return not_wanted(path, id);
  const std::int64_t version = connection.number("PRAGMA user_version", code);
  if (code != SQLITE_ROW) return opening_error_of(code, path);
  if (version > schema_version) return newer(path, version);
  // There is no older schema yet: the first migration goes here, in a transaction of its own.
  if (version != schema_version) return damaged(path);
  (void)may_write;
  if (Result<void> ours = check_objects(connection, path); !ours) return ours;
  // Every statement compiles: this version of SQLite knows what they ask for.
  for (std::size_t i = 0; i < sql_count; ++i) {
    code = SQLITE_OK;
    if (connection.statement(static_cast<Sql>(i), code) == nullptr) {
      if ((code & 0xff) == SQLITE_ERROR) return damaged(path);
      return opening_error_of(code, path);
    }
  }
  return {};
}

Result<void> check_objects(Connection& connection, const std::string& path) {
  Query row(connection, Sql::schema_objects);
  const SchemaObject* wanted = std::begin(schema_objects);
  int code = row.step();
  for (; code == SQLITE_ROW; code = row.step()) {
    const std::string_view name = row.text_at(1);
    if (wanted == std::end(schema_objects) || name < wanted->name) return altered(path, name);
    if (name != wanted->name) return altered(path, wanted->name);
    if (row.text_at(0) != wanted->type || row.text_at(2) != wanted->sql) return altered(path, name);
    ++wanted;
  }
  if (code != SQLITE_DONE) return opening_error_of(code, path);
  if (wanted != std::end(schema_objects)) return altered(path, wanted->name);
  return {};
}

Result<void> check_unchanged(Connection& connection, const std::string& path) {
  Query cookie(connection, Sql::schema_cookie);
  if (const int code = cookie.step(); code != SQLITE_ROW) return error_of(code, "looking at the schema");
  const std::int64_t now = cookie.number_at(0);
  if (connection.known_schema == now) return {};
  if (Result<void> ours = check_objects(connection, path); !ours) return ours;
  connection.known_schema = now;
  return {};
}

}  // namespace tokenstore::sqlite
