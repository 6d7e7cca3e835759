/// Open files: what the system's calls leave to whoever calls them.
///
/// Any thread. Functions that answer an int answer 0 or the error's number.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace tokenstore::base {

/// A descriptor that is closed when it dies.
class File {
 public:
  explicit File(int descriptor = -1) noexcept : descriptor_(descriptor) {}
  File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(); }

  bool is_open() const noexcept { return descriptor_ >= 0; }
  int descriptor() const noexcept { return descriptor_; }
  int close() noexcept {
    const int descriptor = std::exchange(descriptor_, -1);
    return descriptor < 0 || ::close(descriptor) == 0 ? 0 : errno;
  }

 private:
  int descriptor_;
};

/// All of the text, where the file stands.
int write_all(int file, std::string_view text) noexcept;
/// Octets from a place on, up to the buffer's size; `got` is less at the end of the file alone.
int read_at(int file, std::uint64_t from, std::span<char> buffer, std::size_t& got) noexcept;

}  // namespace tokenstore::base
