#include "backends/sqlite/file_watch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <ctime>

namespace tokenstore::sqlite {
namespace {

constexpr off_t smallest_database = 512;  // one page of the smallest size

std::int64_t coarse_millis() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

FileWatch::FileWatch(std::string path, bool immutable, const Identity& file)
    : path_(std::move(path)),
      wal_path_(path_ + "-wal"),
      shm_path_(path_ + "-shm"),
      immutable_(immutable),
      file_(file),
      wal_(identify(wal_path_)),
      shm_(identify(shm_path_)),
      size_(file_.size),
      looked_at_(coarse_millis()) {}

// Not stat(): it asks for the times as well, and a file whose times somebody has seen gets new ones with the next write
// (Linux 6.13), so that every commit would sync an inode too.
FileWatch::Identity FileWatch::identify(const std::string& path, bool immutable) noexcept {
  Identity identity;
  struct statx found {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_SIZE | (immutable ? STATX_MTIME : 0U), &found) == 0) {
    identity.device = makedev(found.stx_dev_major, found.stx_dev_minor);
    identity.inode = found.stx_ino;
    identity.size = static_cast<off_t>(found.stx_size);
    identity.changed = found.stx_mtime.tv_sec * 1'000'000'000 + found.stx_mtime.tv_nsec;
    identity.exists = true;
  } else if (struct stat plain{}; errno == EPERM && ::stat(path.c_str(), &plain) == 0) {
    // In a sandbox that does not know the other call.
    identity.device = plain.st_dev;
    identity.inode = plain.st_ino;
    identity.size = plain.st_size;
    identity.changed = std::int64_t{plain.st_mtim.tv_sec} * 1'000'000'000 + plain.st_mtim.tv_nsec;
    identity.exists = true;
  }
  if (!immutable) identity.changed = 0;
  return identity;
}

FileWatch::Finding FileWatch::look() noexcept {
  const auto judge = [this] {
    const Identity file = identify(path_);
    if (!file.exists) return Finding::gone;
    if (file.device != file_.device || file.inode != file_.inode) return Finding::replaced;
    if (file.size < smallest_database) return Finding::cut_short;
    if (immutable_) {
      const bool untouched = file.size == file_.size && file.changed == file_.changed && !identify(wal_path_).exists;
      return untouched ? Finding::same : Finding::written;
    }
    const auto differs = [](const Identity& was, const Identity& is) {
      return was.exists && (!is.exists || was.device != is.device || was.inode != is.inode);
    };
    if (differs(wal_, identify(wal_path_)) || differs(shm_, identify(shm_path_))) return Finding::wal_replaced;
    const std::int64_t before = size_.exchange(file.size, std::memory_order_relaxed);
    return file.size < before ? Finding::shrunk : Finding::same;
  };
  const Finding finding = judge();
  last_.store(finding == Finding::shrunk ? Finding::same : finding, std::memory_order_relaxed);
  looked_at_.store(coarse_millis(), std::memory_order_relaxed);
  return finding;
}

FileWatch::Finding FileWatch::glance() noexcept {
  if (immutable_) return look();
  const Finding last = last_.load(std::memory_order_relaxed);
  if (last == Finding::same && coarse_millis() - looked_at_.load(std::memory_order_relaxed) < interval_millis) {
    return last;
  }
  return look();
}

std::uint64_t FileWatch::wal_size() const noexcept {
  return static_cast<std::uint64_t>(identify(wal_path_).size);
}

std::optional<Error> FileWatch::error_of(Finding finding) const {
  const auto say = [this](std::string_view what) {
    return Error(Status::unavailable, fmt::format("'{}' {}", path_, what));
  };
  switch (finding) {
    case Finding::same:
    case Finding::shrunk:
      return std::nullopt;
    case Finding::gone:
      return say("was removed while open; put it back or open the store again");
    case Finding::replaced:
      return say("was replaced while open; open the store again");
    case Finding::cut_short:
      return say("was cut short while open; close the store and restore a backup");
    case Finding::wal_replaced:
      return say("lost its -wal or -shm file while open; close the store in every process");
    case Finding::written:
      return say("was opened as unchanging but is being written; open the store again");
  }
  return std::nullopt;
}

}  // namespace tokenstore::sqlite
