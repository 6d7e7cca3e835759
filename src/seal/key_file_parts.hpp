/// What reading and writing key files have in common. Stateless; any thread.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "tokenstore/status.hpp"

namespace tokenstore::key_file {

/// A name in an error message: one line, whatever it holds.
std::string shown(std::string_view path);
Error refused(const std::string& path, std::string_view why);
Error cannot(std::string_view act, const std::string& path, int number);

/// A descriptor that is closed when it dies.
class File {
 public:
  explicit File(int descriptor) noexcept : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(); }

  bool open() const noexcept { return descriptor_ >= 0; }
  int descriptor() const noexcept { return descriptor_; }
  /// 0, or the error's number.
  int close() noexcept {
    if (descriptor_ < 0) return 0;
    const int result = ::close(descriptor_);
    descriptor_ = -1;
    return result == 0 ? 0 : errno;
  }

 private:
  int descriptor_;
};

}  // namespace tokenstore::key_file
