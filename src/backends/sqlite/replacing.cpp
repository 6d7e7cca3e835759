// A database in the place of another, which may be in use.
//
// What the -wal file holds belongs to one database alone, and so does what processes share of it in the -shm file. So
// the two files go in between: while the write lock is held, and the -wal file is known to be empty. And nobody may
// begin to use the old file meanwhile, who would make them anew: SQLite's pending lock keeps newcomers waiting.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <thread>

#include "backends/sqlite/acting_owner.hpp"
#include "backends/sqlite/connection.hpp"
#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/location.hpp"
#include "backends/sqlite/schema.hpp"
#include "base/file.hpp"
#include "base/new_file.hpp"
#include "base/temporary_file.hpp"
#include "tokenstore/backends/sqlite.hpp"

namespace tokenstore::sqlite {
namespace {

constexpr int pending_lock = 3;    // as SQLITE_FCNTL_LOCKSTATE names it
constexpr int exclusive_lock = 4;  // asked for while others read, it ends as a pending one

Error cannot_replace(const std::string& path, int code) {
  return {Status::unavailable, fmt::format("'{}' could not be replaced ({}); check the directory and restore again",
                                           path, std::strerror(code))};  // NOLINT(concurrency-mt-unsafe)
}

/// Removes a name; 0 also if there is none.
int remove_name(const std::string& path) noexcept {
  return ::unlink(path.c_str()) == 0 || errno == ENOENT ? 0 : errno;
}

bool is_there(const std::string& path) noexcept {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0 || errno != ENOENT;
}

/// A name that is free, and says when it was given.
std::string name_for_the_old(const std::string& path) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char stamp[32];
  static_cast<void>(std::strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc));
  const std::string name = fmt::format("{}.before-restore-{}", path, stamp);
  std::string free = name;
  for (int number = 2; is_there(free) || is_there(free + "-wal"); ++number) free = fmt::format("{}-{}", name, number);
  return free;
}

/// What a backup holds becomes a store's database.
Result<void> become_store(const std::string& path, const std::string& shown) {
  Target target;
  target.path = path;
  Result<std::unique_ptr<Connection>> connection = Connection::open(target);
  if (!connection) return connection.error();
  if (Result<void> ours = check_header(**connection, shown, path, FileKind::backup); !ours) return ours;
  if (Result<void> known = check_schema(**connection, shown, false, FileKind::backup); !known) return known;
  int code = (*connection)->execute(fmt::format("PRAGMA application_id = {}", application_id).c_str());
  if (code == SQLITE_OK) code = (*connection)->execute("PRAGMA journal_mode = WAL");
  if (code != SQLITE_OK) return error_of(code, "restoring");
  return {};
}

/// The database that is to go, held so that nobody can write it or begin to use it.
class OldDatabase {
 public:
  OldDatabase(const std::string& path, std::chrono::milliseconds patience) : path_(path), patience_(patience) {}

  Result<void> open();
  /// Nobody writes from now on, and all that was committed is in the file itself.
  Result<void> stop_writers();
  /// Whether anybody has written since this was asked last.
  Result<bool> has_changed();
  /// Nobody begins to use it from now on.
  Result<void> stop_newcomers();
  /// Everybody who has it open looks at the files before they answer again, whatever they remember.
  void tell_everybody() noexcept;
  /// The files beside its name are another's now.
  void leave_name() noexcept { connection_->leave_wal_on_close(); }

 private:
  const std::string& path_;
  const std::chrono::milliseconds patience_;
  std::unique_ptr<Connection> connection_;
  std::int64_t version_ = 0;
};

Result<void> OldDatabase::open() {
  Target target;
  target.path = path_;
  target.busy_timeout = patience_;
  Result<std::unique_ptr<Connection>> opened = Connection::open(target);
  if (!opened) return opened.error();
  connection_ = std::move(*opened);
  if (Result<void> ours = check_header(*connection_, path_, path_); !ours) return ours;
  int code = SQLITE_OK;
  connection_->number("SELECT count(*) FROM sqlite_schema", code);
  if (code != SQLITE_ROW) return opening_error_of(code, path_);
  const Result<bool> first = has_changed();
  return first ? Result<void>() : first.error();
}

Result<bool> OldDatabase::has_changed() {
  int code = SQLITE_OK;
  const std::int64_t version = connection_->number("PRAGMA data_version", code);
  if (code != SQLITE_ROW) return error_of(code, "restoring");
  return std::exchange(version_, version) != version;
}

Result<void> OldDatabase::stop_writers() {
  const auto deadline = std::chrono::steady_clock::now() + patience_;
  for (;;) {
    int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    if (code == SQLITE_OK) code = connection_->execute("BEGIN IMMEDIATE");
    if (code == SQLITE_OK) {
      struct stat wal {};
      const bool empty = ::stat((path_ + "-wal").c_str(), &wal) != 0 ? errno == ENOENT : wal.st_size == 0;
      if (empty) return {};
      // Somebody wrote in between.
      connection_->execute("ROLLBACK");
    } else if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
      return opening_error_of(code, path_);
    } else if ((code & 0xff) != SQLITE_BUSY) {
      return error_of(code, "restoring");
    }
    if (std::chrono::steady_clock::now() >= deadline) return error_of(SQLITE_BUSY, "restoring");
  }
}

Result<void> OldDatabase::stop_newcomers() {
  sqlite3_file* file = connection_->file();
  if (file == nullptr) return error_of(SQLITE_CANTOPEN, "restoring");
  const auto deadline = std::chrono::steady_clock::now() + patience_;
  constexpr int reserved_lock = 2;
  int code = file->pMethods->xLock(file, reserved_lock);
  while (code == SQLITE_OK || code == SQLITE_BUSY) {
    // SQLite's own steps. That others have it open keeps the last from being had, and the one before is kept.
    if (code == SQLITE_OK) code = file->pMethods->xLock(file, exclusive_lock);
    int state = 0;
    file->pMethods->xFileControl(file, SQLITE_FCNTL_LOCKSTATE, &state);
    if (state >= pending_lock) return {};
    if (std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    code = file->pMethods->xLock(file, reserved_lock);
  }
  return error_of(code == SQLITE_OK ? SQLITE_BUSY : code, "restoring");
}

void OldDatabase::tell_everybody() noexcept {
  // A commit moves the pulse in everybody's memory; this one says again what the file says already.
  static_assert(schema_version == 1);
  // Who cannot be told so finds out with the next upkeep.
  static_cast<void>(connection_->execute("PRAGMA user_version = 1; COMMIT"));
}

class Replacing {
 public:
  Replacing(const SqliteOptions& options, const SqliteReplacement& replacement)
      : options_(options), replacement_(replacement) {}

  Result<std::string> run();

 private:
  Result<void> write_new();
  Result<std::string> place_alone();
  Result<std::string> swap_with(OldDatabase& old);
  Result<std::string> swap_with_damaged();
  /// The two names, in one step; then the old file gets its own.
  Result<std::string> swap(std::string kept, OldDatabase* old);

  const SqliteOptions& options_;
  const SqliteReplacement& replacement_;
  Location location_;
  std::optional<base::TemporaryFile> fresh_;
};

Result<void> Replacing::write_new() {
  fresh_.emplace(location_.path);
  if (const int code = fresh_->create(); code != 0) return creation_error(location_.path, code);
  {
    const base::File file(::open(fresh_->path().c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.is_open()) return creation_error(location_.path, errno);
    if (Result<void> written = replacement_.write(file.descriptor()); !written) return written;
  }
  if (Result<void> made = become_store(fresh_->path(), options_.path); !made) return made;
  if (replacement_.prepare) {
    if (Result<void> prepared = replacement_.prepare(fresh_->path()); !prepared) return prepared;
  }
  if (const int code = fresh_->sync(); code != 0) return creation_error(location_.path, code);
  return {};
}

Result<std::string> Replacing::place_alone() {
  // A -wal file without its database: SQLite would take what it holds for the new one's.
  const std::string wal = location_.path + "-wal";
  if (is_there(wal) && ::rename(wal.c_str(), (name_for_the_old(location_.path) + "-wal").c_str()) != 0) {
    return cannot_replace(options_.path, errno);
  }
  const base::DirectoryOf directory(location_.path);
  int code = remove_name(location_.path + "-shm");
  if (code == 0) code = directory.sync();
  if (code == 0) code = base::put_in_place(fresh_->path(), location_.path);
  if (code == EEXIST) {
    return Error(Status::conflict,
                 fmt::format("'{}' was made by somebody else meanwhile; restore again", options_.path));
  }
  if (code == 0) code = directory.sync();
  if (code != 0) return cannot_replace(options_.path, code);
  return std::string();
}

Result<std::string> Replacing::swap(std::string kept, OldDatabase* old) {
  const base::DirectoryOf directory(location_.path);
  std::string unnamed = fresh_->path();
  int code = directory.sync();
  if (code != 0) return cannot_replace(options_.path, code);
  if (::renameat2(AT_FDCWD, fresh_->path().c_str(), AT_FDCWD, location_.path.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) return cannot_replace(options_.path, errno);
    return Error(Status::unsupported,
                 fmt::format("the file system cannot swap two files; stop whoever uses '{}', move it away and restore "
                             "again",
                             options_.path));
  }
  // It is done: from here on nothing asks for memory.
  fresh_->keep();  // it is the old one now
  code = directory.sync();
  if (old != nullptr) {
    old->leave_name();
    old->tell_everybody();
  }
  if (::renameat2(AT_FDCWD, fresh_->path().c_str(), AT_FDCWD, kept.c_str(), RENAME_NOREPLACE) != 0) {
    if (code != 0) return cannot_replace(options_.path, code);
    return unnamed;
  }
  if (code == 0) code = directory.sync();
  if (code != 0) return cannot_replace(options_.path, code);
  return kept;
}

Result<std::string> Replacing::swap_with(OldDatabase& old) {
  if (replacement_.judge) {
    if (Result<void> judged = replacement_.judge(); !judged) return judged.error();
  }
  if (Result<void> stopped = old.stop_writers(); !stopped) return stopped.error();
  const Result<bool> changed = old.has_changed();
  if (!changed) return changed.error();
  if (*changed && replacement_.judge) {
    if (Result<void> judged = replacement_.judge(); !judged) return judged.error();
  }
  if (Result<void> stopped = old.stop_newcomers(); !stopped) return stopped.error();
  // That it is empty has to last, too: SQLite does not sync it after cutting it.
  const std::string wal = location_.path + "-wal";
  if (const base::File file(::open(wal.c_str(), O_RDONLY | O_CLOEXEC)); file.is_open()) {
    if (::fsync(file.descriptor()) != 0) return cannot_replace(options_.path, errno);
  }
  int code = remove_name(location_.path + "-shm");
  if (code == 0) code = remove_name(wal);
  if (code != 0) return cannot_replace(options_.path, code);
  return swap(name_for_the_old(location_.path), &old);
}

Result<std::string> Replacing::swap_with_damaged() {
  const std::string kept = name_for_the_old(location_.path);
  const std::string wal = location_.path + "-wal";
  if (is_there(wal) && ::rename(wal.c_str(), (kept + "-wal").c_str()) != 0) {
    return cannot_replace(options_.path, errno);
  }
  if (const int code = remove_name(location_.path + "-shm"); code != 0) return cannot_replace(options_.path, code);
  return swap(kept, nullptr);
}

Result<std::string> Replacing::run() {
  Result<Location> location = locate(options_.path);
  if (!location) return location.error();
  location_ = std::move(*location);
  const ActingOwner owner(location_.exists ? location_.path : location_.directory);
  std::optional<OldDatabase> old;
  if (location_.exists) {
    old.emplace(location_.path, options_.busy_timeout);
    if (const Result<void> opened = old->open(); !opened) {
      if (opened.status() != Status::not_a_store) return opened.error();
      if (!replacement_.replace_damaged) {
        return Error(Status::conflict, fmt::format("what is there cannot be read ({}); have it replaced, which keeps "
                                                   "the file, or name another place",
                                                   opened.error().message()));
      }
      old.reset();
    }
  }
  if (Result<void> written = write_new(); !written) return written.error();
  if (!location_.exists) return place_alone();
  if (old) {
    Result<std::string> swapped = swap_with(*old);
    if (swapped || swapped.status() != Status::not_a_store || !replacement_.replace_damaged) return swapped;
    old.reset();
  }
  return swap_with_damaged();
}

}  // namespace
}  // namespace tokenstore::sqlite

namespace tokenstore {

Result<std::string> replace_sqlite(const SqliteOptions& options, const SqliteReplacement& replacement) {
  return sqlite::Replacing(options, replacement).run();
}

}  // namespace tokenstore
