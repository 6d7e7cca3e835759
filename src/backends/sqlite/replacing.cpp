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
#include <optional>
#include <utility>

#include "backends/sqlite/acting_owner.hpp"
#include "backends/sqlite/connection.hpp"
#include "backends/sqlite/door.hpp"
#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/location.hpp"
#include "backends/sqlite/old_database.hpp"
#include "backends/sqlite/schema.hpp"
#include "base/file.hpp"
#include "base/new_file.hpp"
#include "base/temporary_file.hpp"
#include "tokenstore/backends/sqlite.hpp"

namespace tokenstore::sqlite {
namespace {

Error cannot_replace(const std::string& path, int code) {
  return {Status::unavailable, fmt::format("'{}' could not be replaced ({}); check the directory and restore again",
                                           path, std::strerror(code))};  // NOLINT(concurrency-mt-unsafe)
}

Error cannot_swap(const std::string& path, int code) {
  if (code != EINVAL && code != ENOSYS) return cannot_replace(path, code);
  return {Status::unsupported,
          fmt::format("the file system cannot swap two files; stop whoever uses '{}', move it away and restore again",
                      path)};
}

/// It was done, but its name may not last.
Error may_not_last(const std::string& path, const std::string& kept) {
  const std::string old = kept.empty() ? std::string("none") : fmt::format("the one before, which is now '{}'", kept);
  return {Status::unknown,
          fmt::format("'{}' was restored, but its directory cannot be synced: a power cut may bring back {}; check the "
                      "disk",
                      path, old)};
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
Result<void> become_store(const std::string& path, const std::string& shown, Door& door) {
  const Door::Stay stay(door);
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

class Replacing {
 public:
  Replacing(const SqliteOptions& options, const SqliteReplacement& replacement)
      : options_(options), replacement_(replacement) {}

  Result<std::string> run();

 private:
  /// Before anything is touched that somebody uses.
  Result<void> check_that_files_can_be_swapped() const;
  Result<void> write_new();
  Result<void> prepare_new();
  Result<void> judge() const { return replacement_.judge ? replacement_.judge(fresh_->path()) : Result<void>(); }
  Result<std::string> place_alone();
  Result<std::string> replace(OldDatabase& old);
  Result<void> stop_all(OldDatabase& old) const;
  Result<void> clear_name(const OldDatabase& old, const std::string& kept) const;
  /// The two names, in one step; then the old file gets its own.
  Result<std::string> swap(std::string kept, OldDatabase& old);

  const SqliteOptions& options_;
  const SqliteReplacement& replacement_;
  Door door_;
  Location location_;
  std::optional<base::TemporaryFile> fresh_;
};

Result<void> Replacing::check_that_files_can_be_swapped() const {
  const base::TemporaryFile one(location_.path);
  const base::TemporaryFile other(location_.path);
  for (const base::TemporaryFile* file : {&one, &other}) {
    if (const int code = file->create(); code != 0) return creation_error(location_.path, code);
  }
  if (::renameat2(AT_FDCWD, one.path().c_str(), AT_FDCWD, other.path().c_str(), RENAME_EXCHANGE) == 0) return {};
  return cannot_swap(options_.path, errno);
}

Result<void> Replacing::write_new() {
  fresh_.emplace(location_.path);
  if (const int code = fresh_->create(); code != 0) return creation_error(location_.path, code);
  {
    const base::File file(::open(fresh_->path().c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.is_open()) return creation_error(location_.path, errno);
    if (Result<void> written = replacement_.write(file.descriptor()); !written) return written;
  }
  if (Result<void> made = become_store(fresh_->path(), options_.path, door_); !made) return made;
  return {};
}

Result<void> Replacing::prepare_new() {
  if (replacement_.prepare) {
    if (Result<void> prepared = replacement_.prepare(fresh_->path()); !prepared) return prepared;
  }
  // SQLite says nothing of it if what was committed cannot be written into the file itself.
  if (struct stat wal{}; ::stat((fresh_->path() + "-wal").c_str(), &wal) == 0 && wal.st_size > 0) {
    return Error(Status::unavailable,
                 fmt::format("what was changed in the new '{}' cannot be written into it; check the disk and restore "
                             "again",
                             options_.path));
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
  Error unsure = may_not_last(options_.path, {});
  int code = remove_name(location_.path + "-shm");
  if (code == 0) code = directory.sync();
  if (code == 0) code = base::put_in_place(fresh_->path(), location_.path);
  if (code == EEXIST) {
    return Error(Status::conflict,
                 fmt::format("'{}' was made by somebody else meanwhile; restore again", options_.path));
  }
  if (code != 0) return cannot_replace(options_.path, code);
  if (directory.sync() != 0) return unsure;
  return std::string();
}

Result<std::string> Replacing::swap(std::string kept, OldDatabase& old) {
  const base::DirectoryOf directory(location_.path);
  std::string unnamed = fresh_->path();
  Error unsure = may_not_last(options_.path, kept);
  Error unsure_unnamed = may_not_last(options_.path, unnamed);
  if (const int code = directory.sync(); code != 0) return cannot_replace(options_.path, code);
  if (::renameat2(AT_FDCWD, fresh_->path().c_str(), AT_FDCWD, location_.path.c_str(), RENAME_EXCHANGE) != 0) {
    return cannot_swap(options_.path, errno);
  }
  // It is done: from here on nothing asks for memory.
  fresh_->keep();  // it is the old one now
  const bool lasts = directory.sync() == 0;
  old.leave_name();
  old.tell_everybody();
  if (::renameat2(AT_FDCWD, fresh_->path().c_str(), AT_FDCWD, kept.c_str(), RENAME_NOREPLACE) != 0) {
    if (!lasts) return unsure_unnamed;
    return unnamed;
  }
  if (!lasts || directory.sync() != 0) return unsure;
  return kept;
}

Result<void> Replacing::stop_all(OldDatabase& old) const {
  if (Result<void> stopped = old.stop_writers(); !stopped) return stopped;
  if (!old.is_damaged()) {
    const Result<bool> changed = old.has_changed();
    if (!changed) return changed.error();
    if (*changed) {
      if (Result<void> judged = judge(); !judged) return judged;
    }
  }
  return old.stop_newcomers();
}

Result<void> Replacing::clear_name(const OldDatabase& old, const std::string& kept) const {
  const std::string wal = location_.path + "-wal";
  int code = 0;
  if (old.is_damaged()) {
    if (is_there(wal) && ::rename(wal.c_str(), (kept + "-wal").c_str()) != 0) code = errno;
  } else if (const base::File file(::open(wal.c_str(), O_RDONLY | O_CLOEXEC)); file.is_open()) {
    // That it is empty has to last, too: SQLite does not sync it after cutting it.
    if (::fsync(file.descriptor()) != 0) code = errno;
  }
  if (code == 0) code = remove_name(location_.path + "-shm");
  if (code == 0 && !old.is_damaged()) code = remove_name(wal);
  return code == 0 ? Result<void>() : cannot_replace(options_.path, code);
}

Result<std::string> Replacing::replace(OldDatabase& old) {
  if (!old.is_damaged()) {
    if (Result<void> judged = judge(); !judged) return judged.error();
  }
  if (Result<void> stopped = stop_all(old); !stopped) return stopped.error();
  std::string kept = name_for_the_old(location_.path);
  if (Result<void> cleared = clear_name(old, kept); !cleared) return cleared.error();
  return swap(std::move(kept), old);
}

Result<std::string> Replacing::run() {
  Result<Location> location = locate(options_.path);
  if (!location) return location.error();
  location_ = std::move(*location);
  const ActingOwner owner(location_.exists ? location_.path : location_.directory);
  if (location_.exists) {
    if (Result<void> swappable = check_that_files_can_be_swapped(); !swappable) return swappable.error();
  }
  if (Result<void> written = write_new(); !written) return written.error();
  if (!location_.exists) {
    if (Result<void> prepared = prepare_new(); !prepared) return prepared.error();
    return place_alone();
  }
  OldDatabase old(location_.path, options_.busy_timeout, door_);
  if (const Result<void> opened = old.open(); !opened) {
    if (opened.status() != Status::not_a_store) return opened.error();
    if (!replacement_.replace_damaged) {
      return Error(Status::conflict, fmt::format("what is there cannot be read ({}); have it replaced, which keeps the "
                                                 "file, or name another place",
                                                 opened.error().message()));
    }
    if (Result<void> damaged = old.open_as_damaged(); !damaged) return damaged.error();
  }
  if (Result<void> prepared = prepare_new(); !prepared) return prepared.error();
  Result<std::string> replaced = replace(old);
  if (replaced || replaced.status() != Status::not_a_store || old.is_damaged() || !replacement_.replace_damaged) {
    return replaced;
  }
  if (Result<void> damaged = old.open_as_damaged(); !damaged) return damaged.error();
  return replace(old);
}

}  // namespace
}  // namespace tokenstore::sqlite

namespace tokenstore {

Result<std::string> replace_sqlite(const SqliteOptions& options, const SqliteReplacement& replacement) {
  return sqlite::Replacing(options, replacement).run();
}

}  // namespace tokenstore
