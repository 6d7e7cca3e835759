/// Giving a file that was written aside its name: all of it or nothing, and never in another's place.
///
/// Any thread. Every function answers 0 or the error's number.
#pragma once

#include <string>

namespace tokenstore::base {

/// EEXIST if something is there already. Afterwards `from` may still be there as well, and is the caller's to remove.
/// EOPNOTSUPP on a file system that can neither rename without replacing nor link.
int put_in_place(const std::string& from, const std::string& to) noexcept;

/// Makes the names in the file's directory durable, where the file system can.
int sync_directory_of(const std::string& path);

/// The same for whoever must not fail for want of memory once a file is in place. Owns a descriptor.
class DirectoryOf {
 public:
  explicit DirectoryOf(const std::string& path);
  ~DirectoryOf();
  DirectoryOf(const DirectoryOf&) = delete;
  DirectoryOf& operator=(const DirectoryOf&) = delete;

  int sync() const noexcept;

 private:
  int descriptor_;
  int code_;  ///< why it could not be opened
};

}  // namespace tokenstore::base
