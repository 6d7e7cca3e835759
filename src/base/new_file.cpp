#include "base/new_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace tokenstore::base {

int put_in_place(const std::string& from, const std::string& to) noexcept {
  // A rename never shows the file under two names, whenever the process is killed.
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  const auto unsupported = [](int code) {
    return code == EINVAL || code == ENOSYS || code == EPERM || code == EOPNOTSUPP || code == EMLINK;
  };
  if (!unsupported(errno)) return errno;
  if (::link(from.c_str(), to.c_str()) == 0) return 0;
  return unsupported(errno) ? EOPNOTSUPP : errno;
}

DirectoryOf::DirectoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  descriptor_ = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  code_ = descriptor_ < 0 ? errno : 0;
}

DirectoryOf::~DirectoryOf() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int DirectoryOf::sync() const noexcept {
  if (descriptor_ < 0) return code_;
  const int code = ::fsync(descriptor_) == 0 ? 0 : errno;
  // Some file systems cannot sync a directory and say so; there is nothing more to be done there.
  return code == EINVAL ? 0 : code;
}

int sync_directory_of(const std::string& path) {
  return DirectoryOf(path).sync();
}

}  // namespace tokenstore::base
