#include "backends/sqlite/location.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

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

/// The name under which the file system of a device is mounted ("ext4", "fuse.sshfs"); empty if unknown.
std::string mounted_as(dev_t device) {
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string wanted = fmt::format(" {}:{} ", major(device), minor(device));
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - ");
    const std::size_t found = line.find(wanted);
    if (dash == std::string::npos || found == std::string::npos || found > dash) continue;
    return line.substr(dash + 3, line.find(' ', dash + 3) - dash - 3);
  }
  return {};
}

Result<void> check_file_system(const std::string& path, const std::string& directory) {
  struct statfs system {};
  struct stat place {};
  if (::statfs(directory.c_str(), &system) != 0 || ::stat(directory.c_str(), &place) != 0) {
    return cannot_open(path, reason_of(errno));
  }
  if (is_network_file_system(static_cast<long>(system.f_type), mounted_as(place.st_dev))) {
    return cannot_open(path, "it is on a network file system, where SQLite's locks do not hold; use a local one");
  }
  return {};
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

bool is_network_file_system(long type, std::string_view name) noexcept {
  // statfs(2) types. 9p is how virtual machines and WSL share the host's directories.
  static constexpr std::array<unsigned long, 12> types = {
      0x6969,      // NFS
      0x517B,      // SMB
      0xFF534D42,  // CIFS
      0xFE534D42,  // SMB2
      0x5346414F,  // AFS
      0x6B414653,  // kAFS
      0x73757245,  // Coda
      0x01021997,  // 9p
      0x00C36400,  // Ceph
      0x0BD00BD0,  // Lustre
      0x47504653,  // GPFS
      0x19830326,  // BeeGFS
  };
  const unsigned long wanted = static_cast<unsigned long>(type) & 0xFFFFFFFFUL;
  for (const unsigned long candidate : types) {
    if (candidate == wanted) return true;
  }
  // FUSE carries local file systems too (ntfs-3g, encfs, containers' fuse-overlayfs), so only those that
  // are clearly reached over a network are refused.
  static constexpr std::array<std::string_view, 14> remote = {
      "fuse.sshfs",     "fuse.glusterfs", "fuse.s3fs",    "fuse.rclone", "fuse.gcsfuse", "fuse.blobfuse", "fuse.davfs",
      "fuse.curlftpfs", "fuse.juicefs",   "fuse.moosefs", "fuse.mfs",    "fuse.ceph",    "fuse.goofys",   "fuse.nfs"};
  for (const std::string_view candidate : remote) {
    if (name.substr(0, candidate.size()) == candidate) return true;
  }
  return false;
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
