/// Notices that the files were replaced, removed or cut short while a store is open.
///
/// SQLite goes on reading the file that it has opened, even when the path leads elsewhere by now, and
/// would answer from a state that nobody else sees. It costs three stat calls, so look-ups check every
/// `interval` and everything else checks each time. What is answered from memory checks nothing: whoever finds the
/// files changed moves the pulse, so that such answers end too, with the next upkeep at the latest.
///
/// Thread use: any number of threads.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "tokenstore/status.hpp"

namespace tokenstore::sqlite {

class FileWatch {
 public:
  static constexpr std::int64_t interval_millis = 100;

  enum class Finding : std::uint8_t {
    same,
    shrunk,        ///< smaller than before, still a database: caches of its pages are void
    gone,          ///< no file at the path
    replaced,      ///< another file at the path
    cut_short,     ///< too short to be a database
    wal_replaced,  ///< the -wal or -shm file is not the one in use
    written,       ///< opened as unchanging, and changed all the same
  };

  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t changed = 0;  ///< nanoseconds; known only of a file opened as unchanging
    bool exists = false;
  };
  /// What the path leads to now.
  static Identity identify(const std::string& path, bool immutable) noexcept;

  /// `file` is what the path led to before it was first opened: whoever swaps it meanwhile is found by the first look.
  /// The files beside it are remembered as they are. `immutable`: opened without locks, so nobody may write.
  FileWatch(std::string path, bool immutable, const Identity& file);

  /// Now.
  Finding look() noexcept;
  /// Now if the last look was long enough ago, or always if nothing else protects the reader.
  Finding glance() noexcept;
  std::uint64_t wal_size() const noexcept;

  /// What to answer; empty for findings that a caller can live with.
  std::optional<Error> error_of(Finding finding) const;

 private:
  Identity identify(const std::string& path) const noexcept { return identify(path, immutable_); }

  std::string path_;
  std::string wal_path_;
  std::string shm_path_;
  bool immutable_;
  Identity file_;
  Identity wal_;
  Identity shm_;
  std::atomic<std::int64_t> size_;
  std::atomic<std::int64_t> looked_at_{0};
  std::atomic<Finding> last_{Finding::same};
};

}  // namespace tokenstore::sqlite
