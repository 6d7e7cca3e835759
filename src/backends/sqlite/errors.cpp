#include "backends/sqlite/errors.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

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
  if (code == SQLITE_IOERR_SHORT_READ) {
    return {Status::unavailable,
            "the -wal file was cut short; close the store in every process and open it again: what was committed since "
            "the last checkpoint is lost, and a backup may have it"};
  }
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

Error creation_error(const std::string& path, int code) {
  if (code == ENOSPC || code == EDQUOT) {
    return Error(Status::storage_full, fmt::format("no space to create '{}'; free some and try again", path));
  }
  return Error(Status::cannot_open,
               fmt::format("'{}' cannot be created ({}); its directory must be writable", path,
                           std::strerror(code)));  // NOLINT(concurrency-mt-unsafe): glibc's is thread-safe here
}

Error error_of(int code, std::string_view doing) {
  // Short enough for the string to need no memory of its own.
  if (primary(code) == SQLITE_NOMEM) return Error(Status::out_of_memory, "out of memory");
  const Meaning meaning = meaning_of(code);
  return Error(meaning.status, fmt::format("the database failed while {} (SQLite {}: {}); {}", doing, code,
                                           sqlite3_errstr(code), meaning.advice));
}

std::optional<Error> denied_file(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  struct stat database {};
  if (!resolved || ::stat(resolved.get(), &database) != 0) return std::nullopt;
  // Whom the file system takes this thread for: asked by a change that is none.
  const int user = ::setfsuid(static_cast<uid_t>(-1));
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    const std::string file = resolved.get() + std::string(suffix);
    struct stat facts {};
    if (::stat(file.c_str(), &facts) != 0 || facts.st_uid == static_cast<uid_t>(user)) continue;
    if (::faccessat(AT_FDCWD, file.c_str(), R_OK | W_OK, AT_EACCESS) == 0 || errno != EACCES) continue;
    const std::string whose =
        fmt::format("'{}' belongs to user {} (mode {:04o}), and user {}, who runs this program, may not write it", file,
                    facts.st_uid, facts.st_mode & 07777U, user);
    return Error(
        Status::cannot_open,
        suffix[0] == '\0'
            ? fmt::format("{}; run it as user {}, change the file's rights, or open it read-only", whose, facts.st_uid)
            : fmt::format("{}; give it to the database's owner: chown {} '{}'", whose, database.st_uid, file));
  }
  return std::nullopt;
}

Error opening_error_of(int code, const std::string& path) {
  const int kind = primary(code);
  if (kind == SQLITE_CANTOPEN || kind == SQLITE_PERM || kind == SQLITE_READONLY) {
    if (std::optional<Error> denied = denied_file(path)) return std::move(*denied);
  }
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
