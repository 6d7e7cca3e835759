#include "backends/sqlite/errors.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

namespace tokenstore::sqlite {
namespace {

int primary(int code) {
  return code == SQLITE_IOERR_NOMEM ? SQLITE_NOMEM : code & 0xff;
}

struct Meaning {
  Status status;
  std::string_view advice;
};

Meaning meaning_of(int code) {
  switch (primary(code)) {
    case SQLITE_NOMEM:
      return {Status::out_of_memory, "free memory and try again"};
    case SQLITE_FULL:
      return {Status::storage_full, "free space on the file system and try again"};
    case SQLITE_READONLY:
      return {Status::read_only, "make the file and its directory writable, or open it read-only"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Status::unavailable, "another process held it longer than the busy timeout; try again"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    // Every value that is written has its column's type: one that breaks a constraint was read from a damaged page.
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return {Status::unavailable, "the file is damaged; check its integrity and restore a backup"};
    case SQLITE_CANTOPEN:
      return {Status::unavailable, "check that the file and its directory exist and can be used"};
    case SQLITE_IOERR:
      return {Status::unavailable, "check the disk and the file system"};
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return {Status::internal, "please report this as a defect"};
    default:
      return {Status::unavailable, "check the file's integrity"};
  }
}

}  // namespace

Error error_of(int code, std::string_view doing) {
  // Short enough for the string to need no memory of its own.
  if (primary(code) == SQLITE_NOMEM) return Error(Status::out_of_memory, "out of memory");
  const Meaning meaning = meaning_of(code);
  return Error(meaning.status, fmt::format("the database failed while {} (SQLite {}: {}); {}", doing, code,
                                           sqlite3_errstr(code), meaning.advice));
}

Error opening_error_of(int code, std::string_view path) {
  switch (primary(code)) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Error(Status::not_a_store,
                   fmt::format("'{}' is no database, or is damaged; name another path or restore a backup", path));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return Error(Status::cannot_open,
                   fmt::format("'{}' cannot be opened; its directory must exist, and be writable for SQLite's -wal and "
                               "-shm files unless the file system is read-only",
                               path));
    case SQLITE_READONLY:
      return Error(Status::cannot_open,
                   fmt::format("'{}' or its directory cannot be written; change that, or open it read-only", path));
    default:
      return error_of(code, "opening");
  }
}

bool spoils_connection(int code) noexcept {
  switch (primary(code)) {
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
      return true;
    default:
      return false;
  }
}

}  // namespace tokenstore::sqlite
