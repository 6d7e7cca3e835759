#include "seal/key_file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace tokenstore::seal {

KeyFileLock::KeyFileLock(const std::string& path, Mode mode) : path_(path), mode_(mode) {
  // Not to wait for a writer, should somebody have put a FIFO there; reading the keys refuses it.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  missing_ = descriptor_ < 0 && errno == ENOENT;
  if (descriptor_ < 0) return;
  int result = 0;
  do {
    result = ::flock(descriptor_, mode == Mode::exclusive ? LOCK_EX : LOCK_SH);
  } while (result != 0 && errno == EINTR);
  held_ = result == 0;
}

KeyFileLock::~KeyFileLock() {
  if (descriptor_ < 0) return;
  // Said outright: a child forked meanwhile has a copy of the descriptor, and would keep the lock.
  if (held_) ::flock(descriptor_, LOCK_UN);
  ::close(descriptor_);
}

bool KeyFileLock::current() const noexcept {
  if (descriptor_ < 0) return !missing_;
  struct stat opened {};
  struct stat named {};
  return ::fstat(descriptor_, &opened) == 0 && ::stat(path_.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

}  // namespace tokenstore::seal
