/// For as long as it lives, files that this thread makes belong to the owner of a database, if root runs the program.
///
/// SQLite makes -wal and -shm when it needs them and gives them to the database's owner a moment later. Root's command
/// that is killed in between would leave a file that locks the owner out of their own store. Made in their name from
/// the start, there is no such moment. It is the identity for the file system alone (setfsuid), of this thread alone.
///
/// Thread use: lives and dies in one thread. Does nothing unless the effective user is root and the owner another one,
/// nor where the kernel does not allow it; then it is as SQLite does it.
#pragma once

#include <sys/types.h>

#include <string>

namespace tokenstore::sqlite {

class ActingOwner {
 public:
  /// The owner of this file or directory.
  explicit ActingOwner(const std::string& of) noexcept;
  ~ActingOwner();
  ActingOwner(const ActingOwner&) = delete;
  ActingOwner& operator=(const ActingOwner&) = delete;

 private:
  bool acting_ = false;
  uid_t user_ = 0;
  gid_t group_ = 0;
};

}  // namespace tokenstore::sqlite
