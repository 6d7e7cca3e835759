#include "backends/sqlite/location.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "backends/sqlite/file_system.hpp"

namespace tokenstore::sqlite {
namespace {

Error cannot_open(const std::string& path, std::string_view why) {
  return Error(Status::cannot_open, fmt::format("'{}' cannot be opened: {}", path, why));
}

std::string reason_of(int code) {
  switch (code) {
    case ENOENT:
      return "its directory does not exist; create it first";
    case ENOTDIR:
      return "a part of the path is not a directory";
    case EACCES:
      return "permission denied; check the rights of its directories";
    case ELOOP:
      return "too many symbolic links";
    case ENAMETOOLONG:
      return "the name is too long";
    default:
      return std::strerror(code);  // NOLINT(concurrency-mt-unsafe): glibc's is thread-safe for known codes
  }
}

/// The absolute path, or errno.
std::string resolve(const std::string& path, int& code) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  code = resolved ? 0 : errno;
  return resolved ? std::string(resolved.get()) : std::string();
}

Result<void> check_file_system(const std::string& path, const std::string& directory) {
  struct statfs system {};
  struct stat place {};
  if (::statfs(directory.c_str(), &system) != 0 || ::stat(directory.c_str(), &place) != 0) {
    return cannot_open(path, reason_of(errno));
  }
  const std::string name = mounted_as(place.st_dev);
  switch (reach_of(static_cast<long>(system.f_type), name)) {
    case Reach::local:
      return {};
    case Reach::network:
      return cannot_open(path, "it is on a network file system, where SQLite's locks do not hold; use a local one");
    case Reach::shared_folder:
      return cannot_open(path,
                         fmt::format("it is in a folder that a virtual machine shares with its host ({}), where "
                                     "SQLite's locks do not hold; use a disk of the machine's own, such as a named "
                                     "volume",
                                     name));
  }
  return {};
}

/// Removes the names that a file's making left when it was killed, "<path>.new-<16 digits>", and answers how many of
/// them cannot be removed.
nlink_t remove_leftover_names(const Location& location, const struct stat& file) {
  const std::string start = location.path.substr(location.directory.size()) + ".new-";
  nlink_t kept = 0;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(location.directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    struct stat other {};
    if (!entry->path().filename().string().starts_with(start)) continue;
    if (::lstat(entry->path().c_str(), &other) != 0 || other.st_dev != file.st_dev || other.st_ino != file.st_ino) {
      continue;
    }
    if (::unlink(entry->path().c_str()) != 0 && errno != ENOENT) ++kept;
  }
  return kept;
}

/// -wal and -shm lie beside the name by which the database was opened. Where it has another one too, here or in
/// another mount, whoever opens it by that one sees neither.
Result<void> check_name_is_the_only_one(const std::string& path, const Location& location, const struct stat& file) {
  if (is_mount_point(location.path)) {
    return cannot_open(path,
                       "it is mounted alone, and its -wal file would lie elsewhere and be lost; mount the directory "
                       "that holds it");
  }
  if (file.st_nlink <= 1) return {};
  const nlink_t kept = remove_leftover_names(location, file);
  struct stat now {};
  if (::stat(location.path.c_str(), &now) != 0) return cannot_open(path, reason_of(errno));
  if (now.st_nlink <= 1 + kept) return {};
  return cannot_open(path,
                     fmt::format("it has {} names (hard links), and each would get a -wal file of its own; remove the "
                                 "others, or copy the file",
                                 now.st_nlink - kept));
}

/// Whether the lines of a descriptor's fdinfo (proc(5)) name a lock where SQLite has its shared one.
bool names_shared_lock(std::istream& fdinfo) {
  constexpr long long shared_first = 0x40000000 + 2;  // SQLite's file format: the lock-byte page
  // "lock: 1: POSIX  ADVISORY  READ pid major:minor:inode start end"
  for (std::string line; std::getline(fdinfo, line);) {
    long long start = 0;
    const int found = std::sscanf(line.c_str(), "lock: %*s POSIX %*s %*s %*d %*x:%*x:%*u %lld", &start);
    if (found == 1 && start == shared_first) return true;
  }
  return false;
}

}  // namespace

Result<Location> locate(const std::string& path) {
  if (path.empty()) return Error(Status::invalid_argument, "the path of the database is empty; name a file");
  if (path.find('\0') != std::string::npos) {
    return Error(Status::invalid_argument, "the path of the database holds a NUL; name a file");
  }
  Location location;
  int code = 0;
  location.path = resolve(path, code);
  if (code == 0) {
    struct stat found {};
    if (::stat(location.path.c_str(), &found) != 0) return cannot_open(path, reason_of(errno));
    if (S_ISDIR(found.st_mode)) return cannot_open(path, "it is a directory; name a file in it");
    if (!S_ISREG(found.st_mode)) return cannot_open(path, "it is not a regular file");
    location.exists = true;
    location.directory = location.path.substr(0, location.path.rfind('/') + 1);
    if (const Result<void> only = check_name_is_the_only_one(path, location, found); !only) return only.error();
  } else {
    if (code != ENOENT) return cannot_open(path, reason_of(code));
    struct stat link {};
    if (::lstat(path.c_str(), &link) == 0) return cannot_open(path, "it is a symbolic link that leads nowhere");
    const std::size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    if (name.empty()) return cannot_open(path, "its directory does not exist; create it, and name a file in it");
    location.directory = resolve(slash == std::string::npos ? "." : path.substr(0, slash + 1), code);
    if (code != 0) return cannot_open(path, reason_of(code));
    if (location.directory.back() != '/') location.directory += '/';
    location.path = location.directory + name;
  }
  if (const Result<void> checked = check_file_system(path, location.directory); !checked) return checked.error();
  return location;
}

bool is_unwritable(const std::string& directory) noexcept {
  struct statvfs system {};
  if (::statvfs(directory.c_str(), &system) == 0 && (system.f_flag & ST_RDONLY) != 0) return true;
  return ::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0;
}

std::size_t copies_of_sqlite_on(const std::string& shm_path) {
  struct stat shm {};
  if (::stat(shm_path.c_str(), &shm) != 0) return 0;
  std::ifstream maps("/proc/self/maps");
  std::size_t copies = 0;
  // "start-end perms offset major:minor inode path": one copy of SQLite maps offset 0 once, whatever the
  // number of its connections.
  for (std::string line; std::getline(maps, line);) {
    unsigned long offset = 0;
    unsigned int device_major = 0;
    unsigned int device_minor = 0;
    unsigned long inode = 0;
    if (std::sscanf(line.c_str(), "%*x-%*x %*s %lx %x:%x %lu", &offset, &device_major, &device_minor, &inode) != 4) {
      continue;
    }
    if (offset == 0 && inode == shm.st_ino && makedev(device_major, device_minor) == shm.st_dev) ++copies;
  }
  return copies;
}

bool holds_shared_lock(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0 || ::access("/proc/locks", F_OK) != 0) return true;
  // What each of our descriptors of the file holds. Not /proc/locks itself: it comes in pages, between which
  // whatever the other processes of the machine lock or unlock moves its lines, and ours can be missed.
  std::error_code failed;
  for (std::filesystem::directory_iterator descriptor("/proc/self/fd", failed), end; descriptor != end;
       descriptor.increment(failed)) {
    struct stat opened {};
    if (::stat(descriptor->path().c_str(), &opened) != 0) continue;
    if (opened.st_dev != file.st_dev || opened.st_ino != file.st_ino) continue;
    std::ifstream held("/proc/self/fdinfo/" + descriptor->path().filename().string());
    if (!held || names_shared_lock(held)) return true;
  }
  return bool(failed);
}

}  // namespace tokenstore::sqlite
