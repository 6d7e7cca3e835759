/// The file of a journal: which files are taken, its lock, and reading and writing it whole.
///
/// Only a regular file that nobody else can write is taken, never through a symbolic link. The lock is advisory
/// (flock), held by an opening of the file, and so by one writer at a time among the threads of all processes, or by
/// readers while nobody writes; a forked child opens the file itself. One thread at a time uses an object.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "tokenstore/status.hpp"

namespace tokenstore::journal {

/// "the journal PATH WHY", on one line whatever the path holds.
Error journal_error(Status status, const std::string& path, std::string_view why);
/// The same for a call that failed with this number.
Error failed_call(const std::string& path, std::string_view act, int number);

struct Whereabouts {
  std::string path;
  /// Of meaning to root alone: the file may belong to whom this file or directory belongs to, and a new one is theirs.
  std::string owner_of{};
  bool read_only = false;
};

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

class SafeFile {
 public:
  SafeFile() = default;
  ~SafeFile();
  SafeFile(SafeFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), identity_(other.identity_) {}
  SafeFile& operator=(SafeFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(identity_, other.identity_);
    return *this;
  }

  /// `not_found` if there is none, `cannot_open` if it is not to be taken.
  static Result<SafeFile> open(const Whereabouts& where);
  /// The same, and nobody else writes while it lives. `unavailable` if another process keeps the lock too long.
  static Result<SafeFile> open_locked(const Whereabouts& where);
  /// A new file beside the journal, of the name given.
  static Result<SafeFile> create(const Whereabouts& where, const std::string& name);

  /// Takes the lock beside other readers, without waiting. False: somebody writes, or the path leads elsewhere by now.
  Result<bool> share(const std::string& path);

  const FileIdentity& identity() const noexcept { return identity_; }
  Result<std::uint64_t> size(const std::string& path) const;
  /// Octets from a place on, up to the buffer's size; fewer at the end of the file alone.
  Result<std::size_t> read(const std::string& path, std::uint64_t from, std::span<char> buffer) const;
  /// All of `text` at `at` and durable, or an error and anything there.
  Result<void> write(const std::string& path, std::uint64_t at, std::string_view text);
  /// The same at the end of the file, and with an error the file holds nothing of it, or a part that whoever writes
  /// next cuts off. `unknown`: all of it is there, but may not be durable, and cannot be cut off.
  Result<void> append(const std::string& path, std::uint64_t at, std::string_view text);
  /// Makes durable what anybody has written.
  Result<void> sync(const std::string& path);
  /// Cuts the file to `size` and makes that durable.
  Result<void> cut(const std::string& path, std::uint64_t size);

 private:
  int descriptor_ = -1;
  FileIdentity identity_{};
};

/// What a path leads to now: its identity and size. `not_found` if there is nothing.
struct FileFacts {
  FileIdentity identity;
  std::uint64_t size = 0;
  friend bool operator==(const FileFacts&, const FileFacts&) = default;
};
Result<FileFacts> facts_of(const std::string& path);

}  // namespace tokenstore::journal
